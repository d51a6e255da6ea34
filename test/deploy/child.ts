import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Child {
  readonly name: string;
  /** Of the program itself. */
  readonly pid: number;
  /** Everything that it has printed. */
  output(): string;
  /** Undefined while it runs. */
  exitCode(): number | undefined;
  /** Until what it printed has `text`; an error, with what it printed, when it ends without or takes too long. */
  said(text: string | RegExp, withinMs?: number): Promise<void>;
  /** Sends it a signal; its exit code (128 + n after signal n). */
  end(signal?: NodeJS.Signals, withinMs?: number): Promise<number>;
  /** Its exit code, once it has ended by itself. */
  ended(withinMs?: number): Promise<number>;
  /** Ends it and all that it started, whatever they are doing. */
  destroy(): Promise<void>;
}

/**
 * A program as somebody runs it: by its own process, told nothing but `env`. It never outlives this process, not even when
 * that is killed: a shell holds the other end of a pipe, and when the pipe closes it ends the whole process group.
 */
export async function startChild(
  name: string,
  command: readonly [string, ...string[]],
  options: { cwd: string; env: Readonly<Record<string, string | undefined>>; account?: Account | undefined },
): Promise<Child> {
  const shell = spawn('/bin/sh', ['-c', WATCH, name, ...command], {
    cwd: options.cwd,
    env: { ...options.env },
    ...options.account,
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  let lines = '';
  shell.stdio[3]?.on('data', (chunk: Buffer) => (lines += chunk.toString()));
  const ended = new Promise<number>((resolve, reject) => {
    shell.once('error', reject);
    shell.once('close', () => resolve(Number(lines.split('\n')[1] || '137')));
  });
  let exitCode: number | undefined;
  void ended.then((code) => (exitCode = code));
  while (!lines.includes('\n')) await Promise.race([sleep(5), ended.then(() => (lines ||= '0\n'))]);
  const pid = Number(lines.split('\n')[0]);

  const within = async <T>(work: Promise<T>, ms: number, what: string): Promise<T> => {
    const stop = new AbortController();
    const late = sleep(ms, undefined, { signal: stop.signal }).then(
      () => {
        throw new Error(`${name} ${what} within ${ms / 1000} s. It printed:\n${output}`);
      },
      () => new Promise<never>(() => {}),
    );
    return Promise.race([work, late]).finally(() => stop.abort());
  };
  return {
    name,
    pid,
    output: () => output,
    exitCode: () => exitCode,
    said: (text, withinMs = 60_000) => {
      const found = async (): Promise<void> => {
        while (typeof text === 'string' ? !output.includes(text) : !text.test(output)) {
          if (exitCode !== undefined)
            throw new Error(`${name} ended without saying ${String(text)}. It printed:\n${output}`);
          await Promise.race([ended, sleep(20)]);
        }
      };
      return within(found(), withinMs, `did not say ${String(text)}`);
    },
    end: (signal = 'SIGTERM', withinMs = 60_000) => {
      process.kill(pid, signal);
      return within(ended, withinMs, `did not end after ${signal}`);
    },
    ended: (withinMs = 60_000) => within(ended, withinMs, 'did not end'),
    destroy: async () => {
      shell.stdin.destroy();
      await ended;
    },
  };
}

/** Has it not ended? Whose end nobody has asked about yet (a zombie) has ended. */
export function runs(pid: number): boolean {
  return /^[^Z]/.test(stateOf(pid));
}

/** As ps writes it: R, S, T for stopped, Z; nothing when there is no such process. */
export function stateOf(pid: number): string {
  return spawnSync('ps', ['-o', 'state=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim();
}

/** The processes that one has started, by number. */
export function childrenOf(pid: number): number[] {
  return execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([child, parent]) => (parent === pid ? [child!] : []));
}

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

// The shell is the head of a process group of its own, so 0 is it and everything under it. It says on the pipe 3 who the
// program is and how it ended; then nothing that the program has left behind may go on.
const WATCH = `
exec 4<&0
"$@" </dev/null 3>&- 4<&- &
program=$!
echo $program >&3
trap '' INT TERM HUP
(read -r _ <&4; kill -KILL 0) 3>&- &
wait $program
echo $? >&3
kill -KILL 0
`;
