import { afterEach, describe, expect, it } from '@jest/globals';
import { ROOT } from '../../commands/root.js';
import type { Logger } from '#libs/telemetry';
import { HeapWatch, oldBytesMax } from './heap-watch.js';
import { startChild, type Child } from '../../test/deploy/child.js';

/** Real programs with little memory and few files (`npm test` builds what they import). */
const children: Child[] = [];
afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.destroy()));
});

async function node(...args: readonly string[]): Promise<Child> {
  return started(process.execPath, ...args);
}

async function started(...command: [string, ...string[]]): Promise<Child> {
  const child = await startChild('limited', command, { cwd: ROOT, env: { PATH: process.env['PATH'] } });
  children.push(child);
  return child;
}

describe('a heap that fills up', () => {
  const keeping = (whenFull: string): string => `
    import { HeapWatch } from '#libs/lifecycle';
    const watch = new HeapWatch({ error: (fields, text) => console.log(JSON.stringify(fields), text, watch.full) });
    let kept = [];
    const keeps = setInterval(() => {
      ${whenFull}
      kept.push(Array.from({ length: 10_000 }, (_, nth) => nth + 0.5));
    }, 2);
    console.log(watch.full ? 'full' : 'has room');`;
  const run = (whenFull: string): Promise<Child> =>
    node('--max-old-space-size=128', '--input-type=module', '-e', keeping(whenFull));

  it('is told before V8 ends the program, and no more when there is room again', async () => {
    const [dies, lives] = await Promise.all([
      run(''),
      run(`if (watch.full) {
        clearInterval(keeps);
        kept = [];
        const look = setInterval(() => watch.full || (clearInterval(look), console.log('has room again'), watch.close()), 50);
        return;
      }`),
    ]);
    expect(await dies.ended()).toBe(134);
    const [first, said] = dies.output().split('\n');
    expect(first).toBe('has room');
    expect(said).toMatch(
      /^\{"heapMb":\d+,"heapMaxMb":128\} The heap is nearly full: at its limit Node ends the program .* true$/,
    );
    // Once, however often it is found full.
    expect(dies.output().split('The heap is nearly full')).toHaveLength(2);
    expect([await lives.ended(), lives.output()]).toEqual([0, expect.stringMatching(/has room again\n$/)]);
  });
});

it('a heap is nearly full at nine tenths, and at three quarters once V8 does little but collect; control: two collections far from each other', () => {
  const found = (share: number, ...starts: number[]): boolean => {
    const watch = new HeapWatch({ error() {} } as unknown as Logger);
    try {
      for (const startTime of starts) watch.collected(share * watch.maxBytes, { startTime, duration: 20 });
      return watch.full;
    } finally {
      watch.close();
    }
  };
  expect(found(0.8, 0, 60)).toBe(true);
  expect([found(0.8, 0), found(0.8, 0, 500), found(0.7, 0, 60), found(0.99, 0)]).toEqual([false, false, false, true]);
});

it.each([
  ['512 MB of memory', 259, undefined, 253],
  ['1 GB', 524, undefined, 512],
  ['24 GB', 4144, undefined, 4096],
  ['24 GB, and a size that was named', 304, '--max-old-space-size=256', 256],
])('of %s the old generation may have what Node gives it', (_, limitMb, option, oldMb) => {
  const MB = 1024 * 1024;
  expect(Math.round(oldBytesMax(limitMb * MB, option === undefined ? [] : [option]) / MB)).toBe(oldMb);
});

describe('a service that may have 256 open files', () => {
  const few = (...command: readonly string[]): Promise<Child> =>
    started('/bin/sh', '-c', 'ulimit -n 256; exec "$@"', 'few', process.execPath, ...command);

  it('says what it needs and ends; control: what it imports, imported without that, fails at some file or package', async () => {
    const [said, control] = await Promise.all([
      few('dist/subgraphs/posts/main.js'),
      few('--input-type=module', '-e', `await import('./dist/subgraphs/posts/start.js')`),
    ]);
    expect(await said.ended()).toBe(1);
    expect(said.output()).toBe(
      'posts cannot start with 256 open files; let it have 1024 (ulimit -Hn, LimitNOFILE=, ulimits) or more.\n',
    );
    // Node 24 has one file open at a time while it imports, and finds out later.
    const isAtOnce = Number(process.versions.node.split('.')[0]) < 24;
    expect(await control.ended()).toBe(isAtOnce ? 1 : 0);
    expect(control.output()).toMatch(isAtOnce ? /EMFILE|Cannot find package/ : /^$/);
  });
});
