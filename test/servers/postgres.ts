import { execFile, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from './free-port.js';

export interface PostgresServer {
  /** Of its superuser, who needs no password from this machine. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly dataDir: string;
  stop(): Promise<void>;
}

/**
 * A real PostgreSQL of its own on a free port, in a temporary folder. It never outlives this process, not even when that is
 * killed: a shell holds the other end of a pipe, and when the pipe closes it ends the server and removes the folder. `standbyOf`
 * makes it a copy of that server, which follows it until it is promoted. With `diskMib` its data, not its log, is on a disk of that
 * size, which only it sees and which is gone with it: `canMount` and `fillDisk` in small-disk.ts.
 */
export async function startPostgres(
  options: { settings?: Record<string, string>; standbyOf?: PostgresServer; diskMib?: number } = {},
): Promise<PostgresServer> {
  const binaries = findPostgres();
  if (binaries === undefined) throw new Error('There is no PostgreSQL on the PATH or under /usr/lib/postgresql');
  const account = process.getuid?.() === 0 ? systemAccount('postgres') : undefined;
  const folder = mkdtempSync(join(tmpdir(), 'tributary-postgres-'));
  if (account !== undefined) chownSync(folder, account.uid, account.gid);
  const dataDir = join(folder, 'data');
  const run = { ...account, cwd: folder, env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' } };
  try {
    const flags = ['-U', 'postgres', '--auth=trust', '--encoding=UTF8', '--no-locale', '--no-sync'];
    const { standbyOf, diskMib } = options;
    if (diskMib !== undefined) flags.push('-X', join(folder, 'wal'));
    if (standbyOf === undefined) await promisify(execFile)(join(binaries, 'initdb'), ['-D', dataDir, ...flags], run);
    else
      await promisify(execFile)(
        // Where only the server's own programs have a link on the PATH, it lies beside what they lead to.
        join(dirname(realpathSync(join(binaries, 'postgres'))), 'pg_basebackup'),
        ['-D', dataDir, '-d', standbyOf.url, '-R', '-c', 'fast', '--no-sync'],
        run,
      );
    const port = await freePort();
    const settings = Object.entries({ ...SETTINGS, ...options.settings, port: String(port) });
    const server = [
      join(binaries, 'postgres'),
      '-D',
      dataDir,
      ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ];
    const watch =
      diskMib === undefined
        ? ['sh', '-c', WATCH, folder]
        : [
            'unshare',
            '-m',
            'sh',
            '-c',
            OWN_DISK,
            folder,
            `${diskMib}m`,
            String(account?.uid),
            String(account?.gid),
            WATCH,
          ];
    const shell = spawn(watch[0]!, [...watch.slice(1), ...server], {
      // Who mounts is root; the server is not.
      ...(diskMib === undefined ? run : { cwd: run.cwd, env: run.env }),
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    });
    const ended = new Promise<void>((resolve) => shell.once('close', () => resolve()));
    let said = '';
    const pid = await new Promise<number>((resolve, reject) => {
      shell.once('error', reject);
      shell.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (said.includes('\n')) resolve(Number.parseInt(said, 10));
      });
    });
    // While it runs, neither the shell nor the pipes to it keep this process alive.
    const [stdin, stdout] = [shell.stdin as unknown as Socket, shell.stdout as unknown as Socket];
    for (const handle of [shell, stdin, stdout]) handle.unref();
    const stop = async (): Promise<void> => {
      for (const handle of [shell, stdout]) handle.ref();
      stdin.end();
      await ended;
    };
    try {
      await answers(pid, folder);
    } catch (error) {
      await stop();
      // Its folder is gone with it, so its last words come by the pipe.
      if (!(error instanceof EndedEarly)) throw error;
      throw new Error(`PostgreSQL did not start: ${said.slice(said.indexOf('\n') + 1)}`);
    }
    return { url: `postgres://postgres@127.0.0.1:${port}/postgres`, port, pid, dataDir, stop };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** The folder of the newest PostgreSQL's programs: on the PATH, or where Debian hides them. */
export function findPostgres(): string | undefined {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...versions.map((version) => join(debian, version, 'bin')),
  ];
  return folders.find((folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')));
}

/** Nothing here is worth a wait for the disk. */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '200',
  shared_buffers: '64MB',
  timezone: 'UTC',
};

/** Waits for the server, so that its end is seen at once; beside it, for the end of the pipe. */
const WATCH = `
exec 3<&0
"$@" >"$0/log" 2>&1 </dev/null 3<&- &
server=$!
echo $server
trap '' INT TERM HUP
{
  read -r _ <&3
  [ -e "$0/ended" ] || kill -QUIT $server
  for i in $(seq 500); do [ -e "$0/ended" ] && break; sleep 0.02; done
  cd /
  rm -rf "$0"
} &
wait $server
tail -c 2000 "$0/log"
: >"$0/ended"
`;

/** The rest goes on as the server's account, on a copy of its data. */
const OWN_DISK = `
mv "$0/data" "$0/made" && mkdir "$0/data" &&
mount -t tmpfs -o "size=$1,uid=$2,gid=$3,mode=0700" tmpfs "$0/data" &&
cp -a "$0/made/." "$0/data/" && rm -r "$0/made" || exit 1
account="--reuid=$2 --regid=$3 --clear-groups"
watch=$4
folder=$0
shift 4
setpriv $account sh -c "$watch" "$folder" "$@"
cd /
umount -l "$folder/data"
rm -rf "$folder"
`;

class EndedEarly extends Error {}

async function answers(pid: number, folder: string): Promise<void> {
  const file = join(folder, 'log');
  for (let attempt = 0; attempt < 600; attempt++) {
    const isAlive = lives(pid);
    const log = existsSync(file) ? readFileSync(file, 'utf8') : '';
    if (/database system is ready to accept (read-only )?connections/.test(log)) return;
    if (!isAlive) throw new EndedEarly();
    await sleep(50);
  }
  throw new Error('PostgreSQL did not start within 30 s');
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** PostgreSQL refuses to run as root, so root hands it to the account that Debian made for it. */
function systemAccount(name: string): { uid: number; gid: number } {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (uid === undefined || gid === undefined)
    throw new Error(`PostgreSQL refuses to run as root, and there is no account ${name}`);
  return { uid: Number(uid), gid: Number(gid) };
}

/** One that nobody listens on now. */
