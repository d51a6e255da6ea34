import { describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import type { Came } from '../servers/answer-proxy.js';
import { CANARY, PROTOTYPES } from '../../commands/faults/lies.js';
import { repeated, Told, wrongIn } from '../../commands/faults/told.js';
import { ROOT } from '../../commands/root.js';

const me = { id: 'user_1', email: 'a@example.com' };
const page = (posts: unknown) => ({ data: { me, userByHandle: { id: 'user_2', postCount: 1, posts } } });
const body = (text: string) => page({ edges: [{ node: { id: 'post_1', body: text, author: null } }] });
const hole = { message: 'A part of the answer could not be fetched.', path: ['userByHandle', 'posts'] };
const heard = (answer: unknown, status = 200) => ({ status, text: JSON.stringify(answer) });

describe('what people are told while a service lies', () => {
  it.each<[string, unknown]>([
    ['all of it', body('op-00ff00-17')],
    ['a part, and where the hole is', { ...page(null), errors: [hole] }],
    ['that there is nothing', { data: null, errors: [hole] }],
    ['a write', { data: { publishPost: { id: 'post_1' } } }],
  ])('is right: %s', (_, answer) => {
    expect(wrongIn(heard(answer))).toEqual([]);
  });

  it.each<[string, unknown]>([
    ['a word of our insides', { ...page(null), errors: [{ ...hole, message: `${CANARY} of http` }] }],
    ['a word of our insides', { ...page(null), errors: [{ ...hole, message: 'asked http://10.0.0.3' }] }],
    ['a word of our insides', { ...body('op-00ff00-17'), polluted: true }],
    ['altered bytes', { ...page(null), errors: [{ ...hole, message: '\ufffd(' }] }],
    ['a body that nobody wrote', body('op-00ff00-17?')],
    ['a hole and no error', page(null)],
    ['a hole and no error', { data: { publishPost: null } }],
    ['a hole and no error', { data: null }],
    ['a part was taken that another service has answered', { data: { me: null }, errors: [hole] }],
    ['more than 50 errors', { ...page(null), errors: Array.from({ length: 51 }, () => hole) }],
    ['more than 20000 characters', { ...page(null), errors: [{ ...hole, message: 'x'.repeat(20_000) }] }],
  ])('control: %s', (what, answer) => {
    expect(wrongIn(heard(answer))).toEqual([what]);
    const told = new Told();
    for (let nth = 0; nth < 2; nth += 1) told.hear(heard(answer));
    expect(told.violations()).toEqual([expect.stringContaining(`2 answers have ${what}: {`)]);
  });

  it('control: a 500 is one', () => {
    expect(wrongIn({ status: 500, text: 'Internal Server Error' })).toEqual(['500']);
  });
});

it('whatever came twice for one request is counted, a mutation once and a query as often as it came', () => {
  const came = (requestId: string, body: string): Came => ({ method: 'POST', requestId, body, nthOnConnection: 1 });
  const [query, mutation] = ['{"query":"{a}"}', '{"query":"mutation{a}"}'];
  const first = [came('1', query), came('1', mutation), came('2', query), came('2', mutation)];
  expect(repeated(first)).toEqual({ queries: 0, queriesMore: 0, mutations: 0 });
  // The control.
  expect(repeated([...first, came('1', query), came('2', mutation)])).toEqual({
    queries: 1,
    queriesMore: 0,
    mutations: 1,
  });
  expect(repeated([...first, came('1', query), came('1', query)])).toMatchObject({ queries: 1, queriesMore: 1 });
});

it('a program says what every object of it has got from an answer: nothing by JSON.parse, and by a naive merge (control) all of it', async () => {
  const real = { status: 200, headers: {}, body: Buffer.from('{"data":{"a":{"b":1}}}') };
  const answer = PROTOTYPES[0]!(real, {} as Came).body.toString();
  const merge = `const merge = (to, from) => { for (const key of Object.keys(from)) {
    if (typeof from[key] === 'object') merge((to[key] ??= {}), from[key]); else to[key] = from[key]; } };`;
  const says = async (code: string): Promise<string> => {
    const program = `${merge} const answer = JSON.parse(${JSON.stringify(answer)}); ${code};
      setInterval(() => {}, 1000); setTimeout(() => process.exit(), 500); process.kill(process.pid, 'SIGUSR2');`;
    const child = spawn(process.execPath, ['--import', './dist/commands/faults/tells-pollution.js', '-e', program], {
      cwd: ROOT,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    return /^polluted: (.*)$/m.exec(await text(child.stderr))?.[1] ?? 'it did not say';
  };
  expect(await says('const kept = { ...answer }')).toBe('nothing');
  expect(await says('merge({}, answer)')).toBe('Object.polluted');
});
