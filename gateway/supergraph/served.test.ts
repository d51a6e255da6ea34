import { afterEach, describe, expect, it } from '@jest/globals';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from '#libs/telemetry';
import { ServedSupergraph, type Serving } from './served.js';
import { urlSource } from './source.js';

/** A supergraph server that says by an ETag whether there is a newer one, and can be away. */
const said = { sdl: 'first', isAway: false };
let server: Server;
let served: ServedSupergraph;
afterEach(async () => {
  await served.close();
  await new Promise((resolve) => server.close(resolve).closeAllConnections());
});

async function start(): Promise<{ logged: string[] }> {
  Object.assign(said, { sdl: 'first', isAway: false });
  server = createServer((request, response) => {
    const etag = `"${said.sdl}"`;
    if (said.isAway) response.writeHead(503).end();
    else if (request.headers['if-none-match'] === etag) response.writeHead(304).end();
    else response.writeHead(200, { etag }).end(said.sdl);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const logged: string[] = [];
  const log = (_: object, message: string): void => void logged.push(message);
  served = new ServedSupergraph({
    source: urlSource(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    build: async (sdl) => {
      if (sdl.startsWith('bad')) throw new Error(`${sdl} is no supergraph`);
      const engine = { about: {}, close: () => Promise.resolve() };
      return { supergraph: { id: sdl, subgraphs: new Map() }, engine, documents: {} } as unknown as Serving;
    },
    pollMs: 600_000,
    logger: { debug: log, info: log, warn: log, error: log } as unknown as Logger,
  });
  await served.start();
  return { logged };
}

const now = async (): Promise<[string | undefined, string | undefined]> => {
  await served.refresh();
  return [served.current?.supergraph.id, served.trouble];
};

describe('the supergraph that is served', () => {
  it('is no trouble any more when where it comes from was away, and is back with the same one', async () => {
    const { logged } = await start();
    said.isAway = true;
    expect(await now()).toEqual(['first', expect.stringContaining('503')]);
    said.isAway = false;
    expect(await now()).toEqual(['first', undefined]);
    expect(await now()).toEqual(['first', undefined]);
    // Said once each.
    expect(logged.slice(1)).toEqual([
      'The new supergraph cannot be served; the last good one stays',
      'The supergraph can be read again',
    ]);
  });

  it('stays in trouble (control) while the newest one is refused, also after where it comes from was away', async () => {
    await start();
    said.sdl = 'bad';
    const refused = ['first', 'bad is no supergraph'];
    expect(await now()).toEqual(refused);
    expect(await now()).toEqual(refused);
    said.isAway = true;
    expect(await now()).toEqual(['first', expect.stringContaining('503')]);
    said.isAway = false;
    expect(await now()).toEqual(refused);
    said.sdl = 'second';
    expect(await now()).toEqual(['second', undefined]);
    expect(await now()).toEqual(['second', undefined]);
  });
});
