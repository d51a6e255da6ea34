import type { HttpAnswer, Lie } from '../../test/servers/answer-proxy.js';

/** Stands in whatever is answered wrongly, and may stand in no answer to people. */
export const CANARY = 'canary-inside';

type Data = Record<string, unknown>;
type Row = Record<string, unknown>;

const INSIDE = `${CANARY} at /srv/app.js:12:3 of http://10.0.0.3:4001/graphql`;
const json = (real: HttpAnswer, value: unknown): HttpAnswer => ({ ...real, body: Buffer.from(JSON.stringify(value)) });
const instead =
  (status: number, type: string, body: string): Lie =>
  () => ({ status, headers: type === '' ? {} : { 'content-type': type }, body: Buffer.from(body) });
const JSON_TYPE = 'application/json';

/** FG3. */
export const STATUSES: readonly Lie[] = [
  instead(500, JSON_TYPE, JSON.stringify({ errors: [{ message: INSIDE }] })),
  instead(401, JSON_TYPE, JSON.stringify({ errors: [{ message: INSIDE }] })),
  instead(403, 'text/plain', INSIDE),
  instead(429, '', ''),
  instead(204, '', ''),
  instead(200, 'text/html', `<html>${INSIDE}</html>`),
];

/** FG5: the real answer with two bytes in one of its texts that are no character, in another place each time; and in another encoding. */
export const NO_UTF8: readonly Lie[] = [
  (real) => within(real, real.body.indexOf('"') + 1),
  (real) => within(real, real.body.lastIndexOf('"')),
  (real) => within(real, Math.max(real.body.indexOf('"op-') + 2, 1)),
  (real) => ({
    ...real,
    headers: { ...real.headers, 'content-type': `${JSON_TYPE}; charset=utf-16` },
    body: Buffer.from(real.body.toString(), 'utf16le'),
  }),
];

function within(real: HttpAnswer, at: number): HttpAnswer {
  return {
    ...real,
    body: Buffer.concat([real.body.subarray(0, at), Buffer.from([0xc3, 0x28]), real.body.subarray(at)]),
  };
}

const asText =
  (value: unknown): Lie =>
  (real) =>
    json(real, value);

/** Of an entity call the entities, of another one its root fields. */
function data(entities: (rows: unknown[]) => unknown, root: (value: unknown) => unknown): Lie {
  return (real) => {
    const answer = JSON.parse(real.body.toString()) as { data?: Data | null };
    const { _entities: rows, ...fields } = answer.data ?? {};
    const others = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, root(value)]));
    return json(real, {
      ...answer,
      data: { ...others, ...(Array.isArray(rows) ? { _entities: entities(rows) } : {}) },
    });
  };
}

const each = (change: (row: Row) => unknown) => (rows: unknown[]) => rows.map((row) => change({ ...(row as Row) }));

/** FG6. */
export const SHAPES: readonly Lie[] = [
  asText(CANARY),
  asText(null),
  asText({}),
  asText({ data: [] }),
  asText({ data: {} }),
  asText({ data: null }),
  data(
    () => null,
    () => CANARY,
  ),
  data(
    () => CANARY,
    () => [],
  ),
  data(
    (rows) => rows.slice(1),
    (value) => [value],
  ),
  data(
    (rows) => [...rows, ...rows],
    () => 7,
  ),
  data(
    () => ({ 0: {}, length: 1 }),
    () => ({ id: { a: CANARY } }),
  ),
  data(
    each(() => CANARY),
    () => ({ id: [] }),
  ),
  data(
    each(() => []),
    () => ({ id: true }),
  ),
  data(
    each((row) => ({ ...row, posts: CANARY })),
    () => ({ id: { length: 1 } }),
  ),
  data(
    each((row) => ({ ...row, posts: { edges: CANARY } })),
    () => true,
  ),
  data(
    each((row) => ({ ...row, posts: { edges: [[{ node: { id: CANARY } }]] } })),
    () => [[]],
  ),
];

/** FG7: no word of an error, and a null (or nothing) where the schema has none. */
export const NULLS: readonly Lie[] = [
  data(
    each((row) => ({ ...row, posts: { edges: null } })),
    () => ({ id: null }),
  ),
  data(
    each((row) => ({ ...row, posts: { edges: [null] } })),
    () => ({}),
  ),
  data(
    each((row) => ({ ...row, posts: { edges: [{ node: { id: null, body: null, author: null } }] } })),
    () => ({ id: null }),
  ),
  data(
    each((row) => ({ ...row, posts: { edges: [{ node: { author: null } }] } })),
    () => ({}),
  ),
  data(
    each((row) => ({ ...row, posts: {} })),
    () => ({ id: null }),
  ),
];

const ERRORS = 10_000;

/** FG8. */
export const MANY_ERRORS: readonly Lie[] = [
  (real) => {
    const answer = JSON.parse(real.body.toString()) as { data?: Data | null };
    const [name = '_entities'] = Object.keys(answer.data ?? {});
    const rows = answer.data?.[name];
    const path = Array.isArray(rows) ? [name, 0, 'posts'] : [name];
    const extensions = { code: 'SUBGRAPH_UNAVAILABLE', serviceName: CANARY, stacktrace: [INSIDE] };
    const errors = Array.from({ length: ERRORS }, (_, nth) => ({ message: `${nth} ${INSIDE}`, path, extensions }));
    return json(real, { data: { [name]: Array.isArray(rows) ? rows.map(() => ({ posts: null })) : null }, errors });
  },
];

/** FG10. `elsewhere`: an address of another server, which counts who comes; `own`: what a redirect to posts itself has in its path. */
export function redirects(elsewhere: string, own: string): Lie[] {
  const { port } = new URL(elsewhere);
  const targets = [elsewhere, `//127.0.0.1:${port}/`, `http://localhost:${port}/`, `/${own}`, 'file:///etc/passwd', ''];
  return [301, 302, 303, 307, 308].flatMap((status) =>
    targets.map((location): Lie => (real) => ({ ...real, status, headers: { ...real.headers, location } })),
  );
}

const EVIL = '"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}';

/** The real answer; every object in it has them as well. */
function evil(text: string): string {
  return text.replaceAll('{}', `{${EVIL}}`).replaceAll(/\{(?=")/g, `{${EVIL},`);
}

/** FG11: what is right is right, whatever keys there are beside it. */
export const PROTOTYPES: readonly Lie[] = [
  (real) => ({ ...real, body: Buffer.from(evil(real.body.toString())) }),
  (real) => {
    const answer = JSON.parse(real.body.toString()) as object;
    return { ...real, body: Buffer.from(evil(JSON.stringify({ ...answer, extensions: { a: {}, b: [{}] } }))) };
  },
];

/** The same in errors, which people are told of. */
export const PROTOTYPES_OF_ERRORS: readonly Lie[] = [
  (real) => {
    const errors = [
      { message: INSIDE, path: ['__proto__', 'constructor'], extensions: { code: 'SUBGRAPH_UNAVAILABLE', a: {} } },
    ];
    return { ...real, body: Buffer.from(evil(JSON.stringify({ data: null, errors }))) };
  },
];
