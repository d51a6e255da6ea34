const BUCKETS = 16;
const HEAD = 'tributary:{';

/**
 * `tributary:{posts.by-id:07}:<id>`. The part in braces is what Redis Cluster hashes: the keys of one bucket live on one
 * node, so one script may carry them. Sixteen buckets spread a prefix over the nodes, and bound what a page of a
 * hundred ids is split into.
 */
export function keyOf(prefix: string, id: string): string {
  return `${HEAD}${prefix}:${bucketOf(id)}}:${id}`;
}

export function prefixOf(key: string): string {
  return key.slice(HEAD.length, key.indexOf(':', HEAD.length));
}

/** What Redis Cluster hashes of a key. */
export function hashTagOf(key: string): string {
  return key.slice(HEAD.length, key.indexOf('}', HEAD.length));
}

export function checkPrefix(prefix: string): void {
  if (!/^[a-z0-9.-]{1,64}$/.test(prefix)) {
    throw new RangeError(
      `A cache prefix takes a-z, 0-9, '.' and '-', at most 64 of them; came ${JSON.stringify(prefix)}.`,
    );
  }
}

/** FNV-1a. */
function bucketOf(id: string): string {
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193);
  // The low bits of FNV-1a are its best ones only after its high bits are folded in.
  return String(((hash ^ (hash >>> 16)) >>> 0) % BUCKETS).padStart(2, '0');
}
