import { writeField } from './record-field.js';
import type { Ask, RecordFill } from './records.js';
import { VALUE_LENGTH_MAX } from './store.js';

/**
 * What many asks have in common, by identity, is sent once: a profile page asks for the same fields of twenty posts, and sending was a
 * fifth of all that a hot page costs.
 */
export function argumentsOf(asks: readonly Ask[]): (string | number)[] {
  const kinds = new Map<readonly string[], { epochs: readonly string[]; nth: number }[]>();
  const told: (string | number)[] = [];
  const rest: (string | number)[] = [];
  let count = 0;
  for (const { entity, variant, epochs, fields, lease } of asks) {
    let same = kinds.get(fields);
    if (!same) kinds.set(fields, (same = []));
    let kind = same.find((one) => one.epochs === epochs);
    if (!kind) {
      same.push((kind = { epochs, nth: (count += 1) }));
      told.push(epochs.length, ...epochs, fields.length, ...fields);
    }
    rest.push(variant === '' ? '' : entity, lease ? 1 : 0, kind.nth);
  }
  return [count, ...told, ...rest];
}

/** One record as FILL takes it: `state` is the clock of its bucket when loading began, `now` the store's time in ms then. */
export function fillOf(
  { entity, epochs, fields }: RecordFill,
  key: string,
  state: string,
  now: number,
): (string | number)[] {
  const at = Number(state.slice(state.lastIndexOf(' ') + 1));
  const texts = fields.flatMap((field): [string, string][] => {
    const json = JSON.stringify(field.value);
    return json.length > VALUE_LENGTH_MAX ? [] : [[field.name, writeField(field, json, key, at, now)]];
  });
  const longest = Math.max(
    1,
    ...fields.map(({ freshMs, revalidateMs, errorMs }) => freshMs + Math.max(revalidateMs, errorMs)),
  );
  return [entity, longest, epochs.length, ...epochs, texts.length, ...texts.flat()];
}
