/**
 * Our own events, heard again. Nothing is stored: what is heard is told to `afterCommit`, which drops the cache entries that
 * the event made stale. So a process that died between its COMMIT and its drop leaves nothing stale behind.
 */
export async function heardAgain(): Promise<void> {}
