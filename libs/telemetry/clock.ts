/** Milliseconds since 1970. Passed in wherever time decides something, so a test can hold it. */
export type Clock = () => number;

export const systemClock: Clock = () => Date.now();

/**
 * The same, but it never jumps: when this process began, and what has gone by since. For how long something takes or lasts; the wall clock
 * may be set, and a breaker that is open for a second would be open for as long as it was set back.
 */
export const steadyClock: Clock = () => performance.timeOrigin + performance.now();
