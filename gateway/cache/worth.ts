/** So many are looked up before it is decided again whether looking is worth it. */
const WINDOW = 128;
/** Fewer found among them than these: what is asked for here does not come again. */
const HITS_FEW = WINDOW / 64;
/** As many found: it does come again. */
const HITS_MANY = WINDOW / 16;

let seeds = 0;

/**
 * Whether what one selection of an operation asks for is found often enough to be looked up. Where next to nothing is, a lookup and
 * a fill of every record are the dearest way there is to ask a subgraph. Then something is passed by when it is seen for the first
 * time, and looked up, waited for and kept like everything else from the second time on (the doorkeeper of TinyLFU: Einziger,
 * Friedman and Manes, 2017). So what becomes hot is found at its third reading, and who finds enough again doubts no more.
 */
export class Worth {
  /** So that an entity that two selections of one operation ask for is not taken for one that came again. */
  readonly seed = (seeds += 1);
  #doubted = false;
  #items = 0;
  #hits = 0;

  get doubted(): boolean {
    return this.#doubted;
  }

  /** So many were asked for, and so many of them found, or loaded by somebody else just then. */
  count(items: number, hits: number): void {
    this.#items += items;
    this.#hits += hits;
    if (this.#doubted && this.#hits >= HITS_MANY) this.#decide(false);
    else if (this.#items >= WINDOW) this.#decide(this.#hits < (this.#doubted ? HITS_MANY : HITS_FEW));
  }

  #decide(doubted: boolean): void {
    this.#doubted = doubted;
    this.#items = this.#hits = 0;
  }
}

const SLOTS = 2 ** 16;

/** Remembers what was asked for last, a quarter of a megabyte of it, whatever is asked for. */
export class Seen {
  readonly #slots = new Uint32Array(SLOTS);

  /** Was it asked for before, as far as is remembered? From now on it was. */
  again(hash: number): boolean {
    const slot = hash % SLOTS;
    const again = this.#slots[slot] === hash;
    this.#slots[slot] = hash;
    return again;
  }
}

/**
 * Forwarded headers are part of every record's name. Where hardly a request comes with headers that came before (an id of the request
 * is forwarded, say), nothing of a new one can be found: it is not even looked what it asks for.
 */
export class Strangers {
  readonly #worth = new Worth();
  readonly #seen = new Seen();

  /** Has nobody asked with these headers of late, and do others not come again either? From now on they were seen. */
  is(headers: string): boolean {
    const again = this.#seen.again(hashOf(headers, 0));
    const { doubted } = this.#worth;
    this.#worth.count(1, again ? 1 : 0);
    return doubted && !again;
  }
}

/** FNV-1a of the UTF-16 units, its high bits folded in. To be wrong costs a lookup too many. */
export function hashOf(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return (hash ^ (hash >>> 16)) >>> 0;
}
