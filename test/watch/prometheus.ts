import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startChild } from '../deploy/child.js';
import { freePort } from '../servers/free-port.js';

/** What Prometheus answers; from version 3 on with what it finds odd about a query. */
export interface Reply<Data> {
  readonly status: 'success' | 'error';
  readonly error?: string;
  readonly warnings?: readonly string[];
  readonly infos?: readonly string[];
  readonly data: Data;
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  /** When, and what. */
  readonly value: readonly [number, string];
}

export interface Prometheus {
  /** One question to its API, such as `rules` or `targets`. */
  get<Data>(path: string): Promise<Reply<Data>>;
  query(expr: string): Promise<Reply<{ readonly result: readonly Sample[] }>>;
  stop(): Promise<void>;
}

/**
 * A real Prometheus on a free port, which keeps what it scrapes in a temporary folder. With `resolv` that is what /etc/resolv.conf says to
 * it, and to nobody else: `canMount` in ../servers/small-disk.ts. `more`: what else it is told.
 */
export async function startPrometheus(
  binary: string,
  config: string,
  resolv?: string,
  more: readonly string[] = [],
): Promise<Prometheus> {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-prometheus-'));
  const file = join(folder, 'prometheus.yml');
  await writeFile(file, config);
  const address = `127.0.0.1:${await freePort()}`;
  const flags = [`--config.file=${file}`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=${address}`];
  const command: [string, ...string[]] = [binary, ...flags, ...more, '--log.level=warn'];
  if (resolv !== undefined) {
    const own = join(folder, 'resolv.conf');
    await writeFile(own, resolv);
    command.unshift('unshare', '-m', 'sh', '-c', 'mount --bind "$0" /etc/resolv.conf && exec "$@"', own);
  }
  const env = resolv === undefined ? {} : { PATH: process.env['PATH'] };
  const child = await startChild('prometheus', command, { cwd: folder, env });
  const stop = async (): Promise<void> => {
    await child.destroy();
    await rm(folder, { recursive: true });
  };
  const isReady = (): Promise<boolean> =>
    fetch(`http://${address}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  while (!(await isReady())) {
    if (child.exitCode() !== undefined) {
      await stop();
      throw new Error(`Prometheus did not start. It printed:\n${child.output()}`);
    }
    await sleep(50);
  }
  const get = async <Data>(path: string): Promise<Reply<Data>> =>
    (await (await fetch(`http://${address}/api/v1/${path}`)).json()) as Reply<Data>;
  return { get, query: (expr) => get(`query?${new URLSearchParams({ query: expr }).toString()}`), stop };
}
