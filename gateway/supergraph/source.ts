import { readFile, stat } from 'node:fs/promises';
import { request, type Dispatcher } from 'undici';
import { whyNotFetched, type Call } from '#libs/identity';
import { whyUnread, withoutCredentials } from '#libs/settings';
import type { Logger } from '#libs/telemetry';
import { markOf } from '../file-mark.js';
import { compose, type ServiceSdl } from './compose.js';
import type { ComposerChoice } from './composers.js';
import { SupergraphError } from './supergraph.js';

/** Where a supergraph comes from. `read` answers undefined when nothing has changed since it last answered. */
export interface SupergraphSource {
  /** For the log and for people: 'schema/supergraph.graphql'. */
  readonly from: string;
  read(signal: AbortSignal): Promise<string | undefined>;
}

export function fileSource(path: string): SupergraphSource {
  let seen = '';
  return {
    from: path,
    async read() {
      try {
        const now = markOf(await stat(path));
        if (now === seen) return undefined;
        const sdl = await readFile(path, 'utf8');
        seen = now;
        return sdl;
      } catch (error) {
        throw new SupergraphError(`SUPERGRAPH takes a file; this is one ${whyUnread(error)}.`, { cause: error });
      }
    },
  };
}

/** A supergraph is at most this long; Apollo's own limit for uploads is 10 MB. */
const SDL_BYTES_MAX = 16 * 1024 * 1024;

export function urlSource(url: string, dispatcher?: Dispatcher): SupergraphSource {
  let etag: string | undefined;
  const from = withoutCredentials(url);
  return {
    from,
    async read(signal) {
      const headers: Record<string, string> = { accept: 'text/plain, application/graphql, */*' };
      if (etag !== undefined) headers['if-none-match'] = etag;
      const asked = request(url, { headers, signal, ...(dispatcher ? { dispatcher } : {}) });
      const response = await asked.catch((error: unknown) => {
        throw new SupergraphError(`${from} cannot be fetched (${whyNotFetched(error)}).`, { cause: error });
      });
      if (response.statusCode === 304) {
        await response.body.dump();
        return undefined;
      }
      if (response.statusCode !== 200) {
        await response.body.dump();
        throw new SupergraphError(`${from} answered with status ${response.statusCode}.`);
      }
      const sdl = await textOf(response.body);
      const tag = response.headers['etag'];
      etag = typeof tag === 'string' ? tag : undefined;
      return sdl;
    },
  };
}

export interface Service {
  readonly name: string;
  readonly url: string;
}

/** Composed from what running services say of themselves; `headers` tell them that it is the gateway that asks. */
export function servicesSource(
  services: readonly Service[],
  headers: (service: string, call: Call) => Record<string, string>,
  logger: Logger,
  composer: ComposerChoice,
  dispatcher?: Dispatcher,
): SupergraphSource {
  let seen = '';
  let failed: { readonly sdls: string; readonly error: unknown } | undefined;
  return {
    from: services.map(({ name }) => name).join(', '),
    async read(signal) {
      const answers = await Promise.allSettled(
        services.map((service) => sdlOf(service, (call) => headers(service.name, call), signal, dispatcher)),
      );
      const missing = answers.flatMap((answer, index) =>
        answer.status === 'rejected' ? [`${services[index]!.name} (${reason(answer.reason)})`] : [],
      );
      if (missing.length > 0) throw new SupergraphError(`No schema from ${missing.join(', ')}.`);
      const sdls = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
      const now = JSON.stringify(sdls);
      if (now === seen) return undefined;
      // What did not compose does not compose the next time either; composing takes the event loop.
      if (failed?.sdls === now) throw failed.error;
      logger.debug({ services: services.map(({ name }) => name) }, 'Composing');
      try {
        const sdl = await compose(sdls, { composer, logger });
        seen = now;
        return sdl;
      } catch (error) {
        failed = { sdls: now, error };
        throw error;
      }
    },
  };
}

async function sdlOf(
  { name, url }: Service,
  headers: (call: Call) => Record<string, string>,
  signal: AbortSignal,
  dispatcher: Dispatcher | undefined,
): Promise<ServiceSdl> {
  const { pathname, search } = new URL(url);
  const call = { method: 'POST', path: pathname + search, body: '{"query":"{ _service { sdl } }"}' } as const;
  const response = await request(url, {
    method: call.method,
    headers: { 'content-type': 'application/json', accept: 'application/json', ...headers(call) },
    body: call.body,
    signal,
    ...(dispatcher ? { dispatcher } : {}),
  });
  const text = await textOf(response.body);
  if (response.statusCode !== 200) throw new SupergraphError(`status ${response.statusCode}`);
  const sdl: unknown = (JSON.parse(text) as { data?: { _service?: { sdl?: unknown } } }).data?._service?.sdl;
  if (typeof sdl !== 'string') throw new SupergraphError('it does not answer { _service { sdl } }');
  return { name, url, sdl, from: `${name} (${url})` };
}

async function textOf(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > SDL_BYTES_MAX) throw new SupergraphError(`The schema is longer than ${SDL_BYTES_MAX} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function reason(error: unknown): string {
  return error instanceof SupergraphError ? error.message : whyNotFetched(error);
}
