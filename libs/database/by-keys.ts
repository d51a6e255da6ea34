import type { Database, Statements } from './database.js';
import type { Asker } from './replicas.js';

/** `keys` → what they lead to; what there is not is absent. */
type Load<Key, Value> = (statements: Statements, keys: readonly Key[]) => Promise<Map<Key, Value>>;

/**
 * Reads by keys as this asker reads, which is what `own` does. What a replica does not find is asked of the primary, once: it may have come
 * into being since, and whoever was led there by a service that has heard of it would be told that it is gone. It costs whoever asks for
 * what there is not a statement more, and the primary no more than without replicas.
 */
export function byKeys(
  database: Pick<Database, 'reader'>,
  asked: Asker,
  own: Statements,
): <Key, Value>(keys: readonly Key[], load: Load<Key, Value>) => Promise<Map<Key, Value>> {
  return async (keys, load) => {
    const found = await load(own, keys);
    const missing = asked.lagged ? keys.filter((key) => !found.has(key)) : [];
    if (missing.length === 0) return found;
    const since = await load(database.reader({ deadline: asked.deadline }), missing);
    return new Map([...found, ...since]);
  };
}
