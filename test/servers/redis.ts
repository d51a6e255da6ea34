import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from './free-port.js';

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** Of redis-server itself: what a test pauses or kills. */
  readonly pid: number;
  stop(): Promise<void>;
}

/** A node of a cluster takes a port for its bus so far above its own. */
const BUS_ABOVE = 10_000;

/**
 * A real Redis of its own on a free port, in a temporary folder, keeping nothing on disk. It never outlives this process, not
 * even when that is killed: a shell holds the other end of a pipe, and when the pipe closes it ends the server and removes
 * the folder. `port` starts one again where another was.
 */
export async function startRedis(
  options: { port?: number; settings?: Record<string, string> } = {},
): Promise<RedisServer> {
  const binary = findRedis();
  if (binary === undefined) throw new Error('There is no redis-server on the PATH');
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOn(options.port ?? (await freePort(BUS_ABOVE)), binary, options.settings ?? {});
    } catch (error) {
      // Somebody else may have taken the port between our asking and Redis' taking it.
      if (attempt === 5 || options.port !== undefined) throw error;
    }
  }
}

export interface RedisCluster {
  /** With `?cluster=true`, as libs/cache takes it. */
  readonly url: string;
  /** The masters. */
  readonly nodes: readonly RedisServer[];
  /** Of each master, in their order, where there are any. */
  readonly replicas: readonly RedisServer[];
  stop(): Promise<void>;
}

/**
 * A Redis Cluster of `count` masters that share the slots; each node as `startRedis` makes it. With `replicated` each has a replica,
 * which is made the master some seconds after the other has gone.
 */
export async function startRedisCluster(
  count = 3,
  { replicated = false }: { readonly replicated?: boolean } = {},
): Promise<RedisCluster> {
  const settings = { 'cluster-enabled': 'yes', 'cluster-config-file': 'nodes.conf', 'cluster-node-timeout': '2000' };
  const size = replicated ? 2 * count : count;
  const all = await Promise.all(Array.from({ length: size }, () => startRedis({ settings })));
  const [nodes, replicas] = [all.slice(0, count), all.slice(count)];
  const stop = async (): Promise<void> => {
    await Promise.all(all.map((node) => node.stop()));
  };
  try {
    const [first] = nodes;
    if (first === undefined) throw new Error('A cluster has at least one node');
    for (const [at, node] of nodes.entries()) {
      const slots = Array.from({ length: 16_384 }, (_, slot) => slot).filter(
        (slot) => Math.floor((slot * count) / 16_384) === at,
      );
      await tell(node.port, `CLUSTER SET-CONFIG-EPOCH ${at + 1}`);
      // An inline command has at most 64 KB.
      for (let from = 0; from < slots.length; from += 4_000) {
        await tell(node.port, `CLUSTER ADDSLOTS ${slots.slice(from, from + 4_000).join(' ')}`);
      }
    }
    for (const node of all) if (node !== first) await tell(node.port, `CLUSTER MEET 127.0.0.1 ${first.port}`);
    for (const node of all) await until(async () => agrees(await tell(node.port, 'CLUSTER INFO'), size));
    for (const [at, replica] of replicas.entries()) {
      const master = (await tell(nodes[at]!.port, 'CLUSTER MYID')).split('\r\n')[1];
      await tell(replica.port, `CLUSTER REPLICATE ${master}`);
    }
    for (const replica of replicas) await untilFollows(replica);
    return { url: `redis://127.0.0.1:${first.port}?cluster=true`, nodes, replicas, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

export interface WatchedRedis {
  /** With `?sentinel=`, as REDIS_URL takes it. */
  readonly url: string;
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  /** Of the Sentinels. */
  readonly sentinels: readonly number[];
  stop(): Promise<void>;
}

/**
 * A primary and its replica under Sentinels, of whom two together make the replica the primary some seconds after the other has gone.
 * `doorOf`: the port by which everybody knows the primary that has this one.
 */
export async function startWatchedRedis({
  sentinels = 2,
  doorOf = async (port) => port,
}: {
  readonly sentinels?: number;
  readonly doorOf?: (port: number) => Promise<number>;
} = {}): Promise<WatchedRedis> {
  const servers: RedisServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    const primary = await startRedis();
    servers.push(primary);
    const door = await doorOf(primary.port);
    const replica = await startRedis({ settings: { replicaof: `127.0.0.1 ${door}` } });
    servers.push(replica);
    await untilFollows(replica);
    const ports: number[] = [];
    for (let nth = 0; nth < sentinels; nth++) {
      const sentinel = await startOn(await freePort(BUS_ABOVE), findRedis()!, {}, `127.0.0.1 ${door}`);
      servers.push(sentinel);
      ports.push(sentinel.port);
    }
    for (const port of ports)
      await until(async () => {
        const known = await tell(port, 'SENTINEL MASTER watched');
        return (
          known.includes('num-slaves\r\n$1\r\n1') && known.includes(`num-other-sentinels\r\n$1\r\n${sentinels - 1}`)
        );
      });
    const [first, ...others] = ports.map((port) => `127.0.0.1:${port}`);
    const url = `redis://${first}?sentinel=watched&sentinels=${others.join(',')}`;
    return { url, primary, replica, sentinels: ports, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const sentinelFile = (port: number, watched: string): string => `
port ${port}
bind 127.0.0.1
protected-mode no
sentinel monitor watched ${watched} 2
sentinel down-after-milliseconds watched 1500
sentinel failover-timeout watched 4000
`;

/** What a Redis says to whatever it is asked about a key while it starts, while its cluster has lost slots, and of a slot that is elsewhere. */
export const REDIS_ERRORS = [
  'LOADING Redis is loading the dataset in memory',
  'CLUSTERDOWN Hash slot not served',
  'MOVED 3999 127.0.0.1:1',
];

export function findRedis(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/bin', '/usr/sbin'];
  return folders.map((folder) => join(folder, 'redis-server')).find((file) => existsSync(file));
}

/** One inline command, and its answer as Redis writes it. */
export function tell(port: number, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.setEncoding('utf8').setTimeout(5_000, () => socket.destroy(new Error(`Redis did not answer ${command}`)));
    let answer = '';
    socket.once('error', reject).once('close', () => reject(new Error(`Redis hung up: ${command}`)));
    socket.once('connect', () => socket.write(`${command}\r\n`));
    socket.on('data', (chunk: string) => {
      answer += chunk;
      const bulk = /^\$(\d+)\r\n/.exec(answer);
      if (
        !answer.endsWith('\r\n') ||
        (bulk !== null && Buffer.byteLength(answer) < bulk[0].length + Number(bulk[1]) + 2)
      )
        return;
      if (answer.startsWith('-')) reject(new Error(`${command.slice(0, 40)}: ${answer.trim()}`));
      else resolve(answer);
      socket.destroy();
    });
  });
}

export type Client = Redis;

/** What takes more than `tell` can say: a client, as long as `work` lasts. */
export async function withClient<T>(port: number, work: (redis: Client) => Promise<T>): Promise<T> {
  const redis = new Redis(port);
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

/** `watched`: it is a Sentinel of the Redis at this address. */
async function startOn(
  port: number,
  binary: string,
  settings: Record<string, string>,
  watched?: string,
): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-redis-'));
  const own = { dir: folder, logfile: join(folder, 'log') };
  const all = watched === undefined ? { ...SETTINGS, ...settings, port: String(port), ...own } : own;
  const server = [binary];
  if (watched !== undefined) {
    writeFileSync(join(folder, 'sentinel.conf'), sentinelFile(port, watched));
    server.push(join(folder, 'sentinel.conf'), '--sentinel');
  }
  server.push(...Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]));
  const shell = spawn('sh', ['-c', WATCH, folder, ...server], {
    stdio: ['pipe', 'pipe', 'ignore'],
    cwd: folder,
    detached: true,
  });
  const ended = new Promise<void>((resolve) => shell.once('exit', () => resolve()));
  const pid = await new Promise<number>((resolve, reject) => {
    shell.once('error', reject);
    shell.stdout.once('data', (line: Buffer) => resolve(Number(line.toString())));
  });
  // Neither the server nor the pipes to it keep this process alive.
  shell.unref();
  for (const pipe of [shell.stdin, shell.stdout]) (pipe as unknown as { unref(): void }).unref();
  const stop = async (): Promise<void> => {
    shell.ref();
    shell.stdin.end();
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const log = (): string => (existsSync(all.logfile) ? readFileSync(all.logfile, 'utf8') : '');
    await until(async () => {
      if (!lives(pid)) throw new Error(`Redis did not start: ${log().slice(-2_000)}`);
      return log().includes(watched === undefined ? 'Ready to accept connections' : '+monitor master watched');
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: `redis://127.0.0.1:${port}`, port, pid, stop };
}

const SETTINGS = { bind: '127.0.0.1', save: '', appendonly: 'no', 'protected-mode': 'no' };

export const WATCH = `
"$@" >/dev/null 2>&1 </dev/null &
echo $!
trap '' INT TERM HUP
read -r _
kill -KILL $!
wait $!
cd /
rm -rf "$0"
`;

function agrees(info: string, count: number): boolean {
  return (
    info.includes('cluster_state:ok') &&
    info.includes(`cluster_known_nodes:${count}`) &&
    info.includes('cluster_slots_ok:16384')
  );
}

async function untilFollows(replica: RedisServer): Promise<void> {
  await until(async () => (await tell(replica.port, 'INFO replication')).includes('master_link_status:up'));
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    if (await holds()) return;
    await sleep(50);
  }
  throw new Error('Redis did not get ready within 20 s');
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
