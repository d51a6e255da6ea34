import type { Told } from './world.js';

/** Why an answer is not the expected one; undefined: it is. */
export function difference(expected: Told, actual: Told): string | undefined {
  const [wanted, came] = [JSON.stringify(expected.data), JSON.stringify(actual.data)];
  if (wanted !== came) return firstDifference(expected.data, actual.data, []) ?? 'the order of keys differs';
  const [holes, others] = [holesOf(expected), holesOf(actual)];
  const silent = silentHolesOf(expected);
  const left = holes.filter((hole) => !others.includes(hole) && !silent.includes(hole));
  if (left.length > 0) return `no error for ${left[0]!}`;
  const more = others.filter((hole) => !holes.includes(hole));
  return more.length > 0 ? `an error for ${more[0]!}, where none is expected` : undefined;
}

/**
 * Where a subgraph is down, a field that several have may be asked of the one or the other. What could come from nowhere else
 * has to be missing, what could only come from elsewhere has to be there, and each hole needs its error.
 */
export function betweenDifference(least: Told, most: Told, actual: Told): string | undefined {
  return within(least.data, most.data, actual.data, [], holesOf(actual));
}

function within(
  least: unknown,
  most: unknown,
  actual: unknown,
  path: readonly (string | number)[],
  holes: readonly string[],
): string | undefined {
  const where = path.join('.');
  if (actual === null) {
    if (least !== null) return `${where} is null, and it could have been had`;
    if (most !== null && !holes.some((hole) => covers(hole, where))) return `no error for ${where}`;
    return undefined;
  }
  if (most === null) return `${where} is there, and there is nothing to have it from`;
  if (typeof actual !== 'object' || typeof most !== 'object') {
    return JSON.stringify(actual) === JSON.stringify(most)
      ? undefined
      : `${where} is ${JSON.stringify(actual)}, not ${JSON.stringify(most)}`;
  }
  if (Array.isArray(actual) !== Array.isArray(most) || Object.keys(actual!).join() !== Object.keys(most!).join())
    return `${where} has other keys`;
  for (const key of Object.keys(actual!)) {
    const down = least === null ? null : (least as Record<string, unknown>)[key];
    const found = within(
      down,
      (most as Record<string, unknown>)[key],
      (actual as Record<string, unknown>)[key],
      [...path, key],
      holes,
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

function covers(hole: string, where: string): boolean {
  return hole === where || hole.startsWith(`${where}.`) || where.startsWith(`${hole}.`) || where === '' || hole === '';
}

function firstDifference(expected: unknown, actual: unknown, path: readonly (string | number)[]): string | undefined {
  if (JSON.stringify(expected) === JSON.stringify(actual)) return undefined;
  const both = isObject(expected) && isObject(actual) && Array.isArray(expected) === Array.isArray(actual);
  if (both) {
    for (const key of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
      const [wanted, came] = [own(expected, key), own(actual, key)];
      const found = firstDifference(wanted, came, [...path, key]);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  return `${path.join('.') || 'data'} is ${short(actual)}, not ${short(expected)}`;
}

function short(value: unknown): string {
  return (JSON.stringify(value) ?? 'absent').slice(0, 200);
}

function own(object: object, key: string): unknown {
  return Object.hasOwn(object, key) ? (object as Record<string, unknown>)[key] : undefined;
}

/**
 * The nulls that have an error. Of errors below a place that was nulled the specification leaves open which and how many are
 * told, so each counts as the null that is seen of it.
 */
export function holesOf({ data, errors }: Told): string[] {
  return [...new Set(errors.map((path) => holeOf(data, path)))].sort();
}

/**
 * Those of which nothing needs to be told: the entity itself is null, because of nothing but that a subgraph does not know it. Whoever
 * tells it all the same, as the one schema that has everything has to, is not wrong.
 */
export function silentHolesOf({ data, errors, unknown = [] }: Told): string[] {
  const silent = unknown.filter((path) => holeOf(data, path) === path.slice(0, -1).join('.'));
  const others = errors.filter((path) => !unknown.includes(path)).map((path) => holeOf(data, path));
  return [...new Set(silent.map((path) => holeOf(data, path)))].filter((hole) => !others.includes(hole));
}

function holeOf(data: unknown, path: readonly (string | number)[]): string {
  const steps: (string | number)[] = [];
  let value = data;
  for (const step of path) {
    if (!isObject(value)) break;
    value = own(value, String(step));
    steps.push(step);
  }
  return steps.join('.');
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
