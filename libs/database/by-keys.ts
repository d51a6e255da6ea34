import type { Database, Statements } from './database.js';
import type { Asker, Reader } from './replicas.js';

/** `keys` → what they lead to; what there is not is absent. */
type Load<Key, Value, Text> = (statements: Statements, keys: readonly Key[]) => Promise<Map<Text, Value>>;

/** The same, and of what there may be an error, where it cannot be known. `textOf`: what tells keys apart that are objects. */
export type Find = <Key, Value, Text = Key>(
  keys: readonly Key[],
  load: Load<Key, Value, Text>,
  textOf?: (key: Key) => Text,
) => Promise<Map<Text, Value | Error>>;

/**
 * Reads by keys as this asker reads, which is what `own` does. What a replica does not find is asked of the primary, once: it may have come
 * into being since, and whoever was led there by a service that has heard of it would be told that it is gone. It costs whoever asks for
 * what there is not a statement more, and the primary no more than without replicas. Where that fails, what was found is there all the same.
 */
export function byKeys(database: Pick<Database, 'reader'>, asked: Asker, own: Reader): Find {
  return async <Key, Value, Text = Key>(
    keys: readonly Key[],
    load: Load<Key, Value, Text>,
    textOf = (key: Key): Text => key as unknown as Text,
  ): Promise<Map<Text, Value | Error>> => {
    let lagged = false;
    const reader: Statements = { query: (text, values) => own.query(text, values, () => void (lagged = true)) };
    const found = await load(reader, keys);
    const missing = lagged ? keys.filter((key) => !found.has(textOf(key))) : [];
    if (missing.length === 0) return found;
    const since = await load(database.reader({ deadline: asked.deadline }), missing).catch(
      (error: unknown) => new Map(missing.map((key) => [textOf(key), errorOf(error)])),
    );
    return new Map<Text, Value | Error>([...found, ...since]);
  };
}

function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error('The primary could not be asked', { cause: error });
}
