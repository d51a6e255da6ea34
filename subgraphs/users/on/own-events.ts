/**
 * Own facts, heard again for one reason: hearing drops the keys that they make stale. Whoever is killed between COMMIT and
 * that drop is healed when the relay tells the fact.
 */
export async function onOwnEvent(): Promise<void> {}
