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
  const twice = async (ends: string): Promise<[number, string]> => {
    const child = await program('twice', ends, SLOWLY);
    process.kill(child.pid, 'SIGINT');
    await child.said('closing');
    const code = await child.end('SIGINT');
    return [code, child.output()];
  };
  expect(await twice(OURS)).toEqual([0, 'runs\nclosing\nclosed\n']);
  expect(await twice(`process.once('SIGINT', close);`)).toEqual([130, 'runs\nclosing\n']);
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
