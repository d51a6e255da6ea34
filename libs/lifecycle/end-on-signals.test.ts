import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { rm } from 'node:fs/promises';
import { startChild, type Child } from '../../test/deploy/child.js';
import { compileLibraries } from '../../test/faults/compiled.js';

/** Real programs and real signals: each says when it began to close and when it has. */
let compiled: string;
const children: Child[] = [];
beforeAll(() => {
  compiled = compileLibraries();
}, 180_000);
afterAll(async () => {
  await Promise.all(children.map((child) => child.destroy()));
  await rm(compiled, { recursive: true, force: true });
});

async function program(name: string, ends: string, closes: string): Promise<Child> {
  const code = `
    import { endOnSignals } from '#libs/lifecycle';
    const running = setInterval(() => {}, 1_000);
    const close = async () => {
      console.log('closing');
      ${closes}
      clearInterval(running);
      console.log('closed');
    };
    ${ends}
    console.log('runs');`;
  const command = [process.execPath, '--input-type=module', '-e', code] as const;
  const child = await startChild(name, [...command], { cwd: compiled, env: { PATH: process.env['PATH'] } });
  children.push(child);
  await child.said('runs');
  return child;
}

const OURS = `endOnSignals(close, { error: (fields, message) => console.log(message, fields.err.message) });`;
const SLOWLY = `await new Promise((resolve) => setTimeout(resolve, 300));`;
const NEVER = `await new Promise(() => {});`;

it('Ctrl+C under npm is two signals, and still a clean end (control: a handler for one is killed by the other)', async () => {
  const twice = async (ends: string, closing: string): Promise<[number, string]> => {
    const child = await program('twice', ends, closing);
    process.kill(child.pid, 'SIGINT');
    await child.said('closing');
    const code = await child.end('SIGINT');
    return [code, child.output()];
  };
  expect(await twice(OURS, SLOWLY)).toEqual([0, 'runs\nclosing\nclosed\n']);
  expect(await twice(`process.once('SIGINT', close);`, NEVER)).toEqual([130, 'runs\nclosing\n']);
});

it('who does not wait any longer sends another one', async () => {
  const child = await program('stuck', OURS, NEVER);
  process.kill(child.pid, 'SIGTERM');
  await child.said('closing');
  // The time that makes it another wish is the program's own.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  expect(await child.end('SIGTERM')).toBe(143);
});

it('closing that fails is said, and is exit code 1', async () => {
  const child = await program('broken', OURS, `throw new Error('no way');`);
  expect(await child.end('SIGTERM')).toBe(1);
  expect(child.output()).toContain('It did not close cleanly no way');
});

const BROKEN = {
  'an exception': `throw new Error('one bug');`,
  'a rejection': `void Promise.reject(new Error('one bug'));`,
};
/** Its requests take a moment, and the first one breaks something that is no part of it. */
const serves = (breaks: string): string => `
  import { createServer } from 'node:http';
  const server = createServer((_, response) => {
    setTimeout(() => response.end('whole'), 200);
    setImmediate(() => { ${breaks} });
  });
  server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port + '.'));`;
const SERVED = `await new Promise((resolve) => server.close(resolve));`;

it.each(Object.entries(BROKEN))(
  '%s that nobody has caught is said, what is under way is answered, and the exit code is 1; control: Node drops it',
  async (what, breaks) => {
    const asked = async (ends: string): Promise<[string, number, string]> => {
      const child = await program(what, `${ends} ${serves(breaks)}`, SERVED);
      await child.said(/port \d+\./);
      const [, port] = /port (\d+)\./.exec(child.output())!;
      const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } }).then(
        (response) => response.text(),
        () => 'nothing',
      );
      return [answer, await child.ended(), child.output()];
    };
    const [answer, code, output] = await asked(OURS);
    expect([answer, code]).toEqual(['whole', 1]);
    expect(output).toContain('Nobody caught this error; the program ends one bug\nclosing\nclosed\n');
    const [dropped, dead] = await asked('');
    expect([dropped, dead]).toEqual(['nothing', 1]);
  },
);

it('an error that leaves closing to wait for ever ends it all the same', async () => {
  const ends = `endOnSignals(close, { error: (_, message) => console.log(message) }, 200);
    setImmediate(() => { throw new Error('one bug'); });`;
  const child = await program('never', ends, NEVER);
  expect(await child.ended()).toBe(1);
  expect(child.output()).toContain('closing\nIt did not close in time\n');
});
