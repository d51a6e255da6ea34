import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { Chance } from '../../commands/seed/chance.js';
import { JSON_TYPE, query, type Message, type Seen, type Target } from './attack.js';
import { wrongInEveryAnswer } from './check.js';
import type { Programs } from './programs.js';
import { ATTACKS } from './rows.js';
import type { Bounds } from './run.js';
import { send } from './send.js';
import { wrongNow } from './stage.js';

export interface FuzzSize {
  readonly count: number;
  readonly seed: number;
}

export interface Fuzzed extends FuzzSize {
  /** How often each status came; 0: no answer. */
  readonly statuses: ReadonlyMap<number, number>;
  readonly longestMs: number;
  readonly longestNextMs: number;
  readonly violations: readonly string[];
}

/** So many are on their way at a time. */
const LANES = 8;
/** After so many it is asked what the process has gone through. */
const LOOK_EVERY = 100;
const VIOLATIONS_KEPT = 20;

/**
 * What nobody has thought of: what is sent otherwise, changed by chance. Each has to be answered as everything is (JSON, a code of the table,
 * no leak, no 5xx), and after each somebody with an ordinary question is. What is drawn hangs on the seed and the number of the message
 * alone, so one that is wrong is made again by both.
 */
export async function fuzz(programs: Programs, { count, seed }: FuzzSize, bounds: Bounds): Promise<Fuzzed> {
  const statuses = new Map<number, number>();
  const found: string[] = [];
  let [longestMs, longestNextMs, next] = [0, 0, 0];
  await programs.state();
  const look = async (nth: number): Promise<void> => {
    const state = await programs.state();
    const { blockedMs } = state;
    for (const wrong of wrongNow(state)) found.push(`by ${nth}: ${wrong}`);
    // Nothing is sent again here, so a machine that is busy once is let be.
    if (blockedMs > 5 * bounds.blockedMs)
      found.push(`by ${nth}: the event loop was blocked for ${blockedMs.toFixed(0)} ms`);
  };
  const one = async (nth: number): Promise<void> => {
    const drawn = draw(seed, nth);
    const url = programs.urls[drawn.to];
    const began = performance.now();
    const seen = await sendRaw(url, drawn);
    const asked = performance.now();
    const ordinary = await send(url, { body: query('{__typename}') });
    const nextMs = performance.now() - asked;
    statuses.set(seen.status, (statuses.get(seen.status) ?? 0) + 1);
    if (drawn.layer !== 'head') longestMs = Math.max(longestMs, asked - began);
    longestNextMs = Math.max(longestNextMs, nextMs);
    const wrong = wrongWith(drawn, seen);
    if (ordinary.status !== 200) wrong.push(`the next one, who did nothing, got ${ordinary.status}`);
    if (nextMs > 5 * bounds.nextMs) wrong.push(`the next one waited ${nextMs.toFixed(0)} ms`);
    if (wrong.length > 0) found.push(`${nth} (${drawn.layer}, to ${drawn.to}): ${wrong.join('; ')}`);
  };
  const lane = async (): Promise<void> => {
    while (next < count && found.length < VIOLATIONS_KEPT) {
      const nth = (next += 1);
      await one(nth);
      if (nth % LOOK_EVERY === 0) await look(nth);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  await look(next);
  return { count: next, seed, statuses, longestMs, longestNextMs, violations: found };
}

/** One line of figures. */
export function fuzzLine({ count, seed, statuses, longestMs, longestNextMs, violations }: Fuzzed): string {
  const came = [...statuses]
    .sort(([one], [other]) => one - other)
    .map(([status, times]) => `${status || 'none'} × ${times}`);
  return `R5: ${count.toLocaleString('en')} requests changed by chance (seed ${seed}): ${violations.length} violations. Came: ${came.join(', ')}. Longest: answer ${longestMs.toFixed(0)} ms, next client ${longestNextMs.toFixed(0)} ms.`;
}

function wrongWith({ layer, head, body }: Drawn, seen: Seen): string[] {
  // Of one whose head says that more comes than does there is no answer, or one that says so.
  if (seen.status === 0) return layer === 'head' ? [] : ['no answer'];
  if (seen.status >= 500) return [`status ${seen.status}: ${seen.text.slice(0, 200)}`];
  if (seen.text === '' && /^(HEAD|OPTIONS) /.test(head)) return [];
  const sent = `${head}${body.toString()}`;
  return wrongInEveryAnswer(seen, sent);
}

type Layer = 'document' | 'variables' | 'envelope' | 'head';

export interface Drawn {
  readonly to: Target;
  readonly layer: Layer;
  /** As it goes over the wire, each character a byte. */
  readonly head: string;
  readonly body: Buffer;
}

const BODY_BYTES_MAX = 16 * 1024;

interface Seedling {
  readonly to: Target;
  readonly message: Message & { readonly body: string };
}

/** What is sent otherwise, right and wrong, and every example, to the social graph. Not what counts who sends it. */
const SEEDLINGS: readonly Seedling[] = [
  ...ATTACKS.flatMap(({ to, send: message }): Seedling[] => {
    if (typeof message === 'function' || (to !== 'gateway' && to !== 'open')) return [];
    const { body, method = 'POST' } = message;
    if (typeof body !== 'string' || method !== 'POST' || body.length > BODY_BYTES_MAX) return [];
    return [{ to, message: { ...message, body } }];
  }),
  ...readdirSync('examples')
    .filter((file) => file.endsWith('.graphql'))
    .map((file): Seedling => {
      const body = query(readFileSync(`examples/${file}`, 'utf8'), { variables: { first: 3, handle: 'alice' } });
      return { to: 'social', message: { body } };
    }),
];

export function draw(seed: number, nth: number): Drawn {
  const chance = new Chance(`fuzz ${seed} ${nth}`);
  const { to, message } = chance.pick(SEEDLINGS);
  const other = chance.pick(SEEDLINGS).message.body;
  const layer = chance.pick<Layer>(['document', 'variables', 'variables', 'envelope', 'head']);
  const change = (bytes: Buffer, more: Buffer): Buffer => {
    let changed = bytes;
    for (let times = 1 + chance.below(3); times > 0; times -= 1)
      changed = chance.pick(CHANGES)(changed, chance, more).subarray(0, BODY_BYTES_MAX);
    return changed;
  };
  let body: Buffer = Buffer.from(message.body);
  if (layer === 'envelope') body = change(body, Buffer.from(other));
  if (layer === 'document') {
    const asked = envelopeOf(message.body);
    const text = change(Buffer.from(asked.query), Buffer.from(envelopeOf(other).query)).toString();
    body = Buffer.from(JSON.stringify({ ...asked, query: text }));
  }
  if (layer === 'variables') {
    const asked = envelopeOf(message.body);
    const names = [...asked.query.matchAll(/\$(\w+)\s*:/g)].map(([, name]) => name!);
    const values = names.map((name) => [name, valueOf(chance)]);
    // Where there are none, what else stands in an envelope.
    const more =
      names.length > 0 ? { variables: Object.fromEntries(values) as object } : { [chance.pick(KEYS)]: valueOf(chance) };
    body = Buffer.from(JSON.stringify({ ...asked, ...more }));
  }
  const lines = Object.entries({ ...JSON_TYPE, ...message.headers }).flatMap(([name, value]) =>
    [value].flat().map((one) => `${name}: ${one}\r\n`),
  );
  const head = `POST /graphql HTTP/1.1\r\nhost: x\r\n${lines.join('')}connection: close\r\ncontent-length: ${body.length}\r\n\r\n`;
  const written = layer === 'head' ? change(Buffer.from(head, 'latin1'), Buffer.from(lines.join(''))) : undefined;
  return { to, layer, head: written?.toString('latin1') ?? head, body };
}

const KEYS = ['variables', 'operationName', 'extensions', 'documentId', 'id', 'query', '__proto__'];

/** Any JSON, of no great depth. */
function valueOf(chance: Chance, levels = 3): unknown {
  const plain = [
    null,
    true,
    false,
    0,
    -1,
    0.5,
    1e308,
    2 ** 31,
    2 ** 53 + 2,
    '',
    'alice',
    'a'.repeat(300),
    '\u0000',
    '\ud800',
    '%',
    '{}',
  ];
  const few = (): number[] => Array.from({ length: chance.below(4) }, (_, nth) => nth);
  const made = chance.below(levels === 0 ? 1 : 4);
  if (made === 1) return few().map(() => valueOf(chance, levels - 1));
  if (made < 2) return chance.pick(plain);
  const names = ['handle', 'password', 'displayName', 'email', 'body', 'bio', '__proto__', 'constructor', ''];
  return Object.fromEntries(few().map(() => [chance.pick(names), valueOf(chance, levels - 1)]));
}

function envelopeOf(body: string): { readonly query: string } {
  try {
    const asked = JSON.parse(body) as { query?: unknown } | null;
    return typeof asked?.query === 'string' ? { ...asked, query: asked.query } : { query: body };
  } catch {
    return { query: body };
  }
}

type Change = (bytes: Buffer, chance: Chance, other: Buffer) => Buffer;

/** Words that mean something to some parser. */
// prettier-ignore
const WORDS = [
  '{', '}', '[', ']', '(', ')', '"', '"""', '\\', '\\u0000', '\\ud800', '#', '...', '... on Query{', '@skip(if:true)', '$',
  '"__proto__":{"x":1},', '"constructor":', 'null', 'true', '-0', '1e999', '9007199254740993', '0'.repeat(400),
  '__typename', '__schema{types{name}}', 'fragment F on Query{...F}', 'query', 'mutation{', 'subscription{', 'extensions',
  '\r\n', '\r\n\r\n', ': ', ',', 'content-length: 1\r\n', 'transfer-encoding: chunked\r\n', 'authorization: Bearer a.b.c\r\n',
  '\u0000', '\ufeff', '\u2028', '\u202e', '\ud83d\ude00', 'e\u0301', '%00', '../',
];

const at = (bytes: Buffer, chance: Chance): number => chance.below(bytes.length + 1);
const insert = (bytes: Buffer, where: number, more: Buffer): Buffer =>
  Buffer.concat([bytes.subarray(0, where), more, bytes.subarray(where)]);

const CHANGES: readonly Change[] = [
  // Bytes that are flipped.
  (bytes, chance) => {
    const flipped = Buffer.from(bytes);
    for (let times = 1 + chance.below(8); times > 0 && flipped.length > 0; times -= 1)
      flipped[chance.below(flipped.length)]! ^= 1 << chance.below(8);
    return flipped;
  },
  // Cut off.
  (bytes, chance) => Buffer.from(bytes.subarray(0, at(bytes, chance))),
  // A piece that is missing.
  (bytes, chance) => {
    const from = at(bytes, chance);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + 1 + chance.below(20))]);
  },
  // A piece again and again.
  (bytes, chance) => {
    const from = at(bytes, chance);
    const piece = bytes.subarray(from, from + 1 + chance.below(20));
    return insert(bytes, from, Buffer.concat(Array.from({ length: 1 + chance.below(200) }, () => piece)));
  },
  // Nested.
  (bytes, chance) =>
    insert(
      bytes,
      at(bytes, chance),
      Buffer.from(chance.pick(['{a', '[', '{', '(', '{"a":']).repeat(1 + chance.below(500))),
    ),
  // A word of some meaning.
  (bytes, chance) => insert(bytes, at(bytes, chance), Buffer.from(chance.pick(WORDS))),
  // Characters of all of Unicode, or bytes that are none.
  (bytes, chance) => {
    const points = Array.from({ length: 1 + chance.below(20) }, () => chance.below(0x110000));
    return insert(bytes, at(bytes, chance), Buffer.from(String.fromCodePoint(...points)));
  },
  (bytes, chance) =>
    insert(
      bytes,
      at(bytes, chance),
      Buffer.from(Array.from({ length: 1 + chance.below(20) }, () => chance.below(256))),
    ),
  // The beginning of one and the end of another.
  (bytes, chance, other) => Buffer.concat([bytes.subarray(0, at(bytes, chance)), other.subarray(at(other, chance))]),
];

/** One whose head says that more comes is waited for no longer than this. */
const UNFINISHED_MS = 500;
const ANSWER_MS = 60_000;

function sendRaw(url: string, { layer, head, body }: Drawn): Promise<Seen> {
  const { port, hostname } = new URL(url);
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect(Number(port), hostname, () => {
      socket.write(Buffer.from(head, 'latin1'));
      socket.write(body);
    });
    const unfinished = layer === 'head' ? setTimeout(() => socket.end(), UNFINISHED_MS) : undefined;
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      clearTimeout(unfinished);
      // Where the head no longer asks for it, the connection is not closed.
      if (layer === 'head') socket.end();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(unfinished);
      resolve(seenOf(Buffer.concat(chunks)));
    });
  });
}

/** The first answer of them. Ours have a length. */
function seenOf(bytes: Buffer): Seen {
  const end = bytes.indexOf('\r\n\r\n');
  const [first = '', ...lines] = bytes.subarray(0, Math.max(0, end)).toString('latin1').split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 0);
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const length = Number(headers['content-length'] ?? bytes.length);
  return { status, headers, text: bytes.subarray(end + 4, end + 4 + length).toString() };
}
