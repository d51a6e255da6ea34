import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runs, startChild, type Child } from '../../test/deploy/child.js';
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

async function program(name: string, ends: string, closes: string, before: readonly string[] = []): Promise<Child> {
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
  const [first, ...rest] = [...before, process.execPath, '--input-type=module', '-e', code];
  const child = await startChild(name, [first!, ...rest], { cwd: compiled, env: { PATH: process.env['PATH'] } });
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

it('Ctrl+\\ (SIGQUIT) is a clean end too; control: by itself Node ends by it as by a crash', async () => {
  const ours = await program('quit', OURS, SLOWLY);
  expect([await ours.end('SIGQUIT'), ours.output()]).toEqual([0, 'runs\nclosing\nclosed\n']);
  expect(await (await program('left', '', SLOWLY)).end('SIGQUIT')).toBe(131);
});

const LOGS = `endOnSignals(close, { info: (_, message) => console.log(message), error: console.log });`;

it('SIGHUP ends nothing that has no terminal, under nohup neither; control: Node takes back what nohup says', async () => {
  for (const before of [[], ['nohup']]) {
    const ours = await program('service', LOGS, SLOWLY, before);
    process.kill(ours.pid, 'SIGHUP');
    await ours.said('so it goes on');
    expect([await ours.end('SIGTERM'), ours.output()]).toEqual([0, expect.stringContaining('closing\nclosed\n')]);
  }
  expect(await (await program('left', '', SLOWLY, ['nohup'])).end('SIGHUP')).toBe(129);
});

// What is Linux' alone here is how script(1) is called.
const onLinux = process.platform === 'linux' ? it : it.skip;
onLinux('a terminal that is gone is a clean end; control: by itself Node closes nothing', async () => {
  const ended = async (ends: string): Promise<string> => {
    const folder = await mkdtemp(join(tmpdir(), 'terminal-'));
    try {
      const said = join(folder, 'said');
      const file = join(compiled, `terminal-${ends.length}.mjs`);
      await writeFile(
        file,
        `import { appendFileSync } from 'node:fs';
        import { endOnSignals } from '#libs/lifecycle';
        const say = (text) => appendFileSync(${JSON.stringify(said)}, text);
        process.on('exit', (code) => say('ended ' + code));
        const running = setInterval(() => {}, 1_000);
        const close = async () => {
          say('closing ');
          // As npm start does, to nobody.
          process.stderr.write('Stopped.');
          await new Promise((resolve) => setTimeout(resolve, 100));
          clearInterval(running);
          say('closed ');
        };
        ${ends}
        console.log('runs as ' + process.pid + '.');`,
      );
      const command = ['script', '-qefc', `exec '${process.execPath}' '${file}'`, '/dev/null'] as const;
      const terminal = await startChild('terminal', [...command], {
        cwd: compiled,
        env: { PATH: process.env['PATH'] },
      });
      children.push(terminal);
      await terminal.said(/runs as \d+\./);
      const pid = Number(/runs as (\d+)\./.exec(terminal.output())![1]);
      // Its other end is script's, and it is gone with it.
      process.kill(terminal.pid, 'SIGKILL');
      for (const deadline = Date.now() + 20_000; runs(pid) && Date.now() < deadline;)
        await new Promise((resolve) => setTimeout(resolve, 20));
      const left = runs(pid);
      if (left) process.kill(pid, 'SIGKILL');
      expect(left).toBe(false);
      return await readFile(said, 'utf8').catch(() => '');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };
  expect(await ended(OURS)).toBe('closing closed ended 0');
  expect(await ended('')).toBe('');
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
