/**
 * Does this `Cache-Control` of a request say `no-cache`? RFC 9111, 5.2.1.4: nothing that is kept may be the answer unless the origin has
 * said that it still is; here whoever owns the data is asked.
 */
export function asksPastCaches(cacheControl: string | undefined): boolean {
  return cacheControl !== undefined && NO_CACHE.test(cacheControl);
}

const NO_CACHE = /(?:^|,)\s*no-cache\s*(?:,|$)/i;
