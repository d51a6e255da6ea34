import { parseArgs } from 'node:util';

/** `npm run cache`: looks into a gateway's entity cache, and drops from it, through the door that ENTITY_CACHE_PORT opens. */
const USAGE = `npm run cache -- inspect User:user_1 | drop … | counts

  inspect User:user_1   what is kept of an entity for everybody: each field with its age, version and tags
  drop User:user_1      ends all records of an entity; also --type User (or users.User), --tag front-page,
                        --subgraph users, --viewer user_1 (what is kept for that viewer alone)
  counts                how often each field was found, missing or stale in that gateway

The gateway is the one whose ENTITY_CACHE_PORT and ENTITY_CACHE_SECRET are in the environment (HOST: 127.0.0.1).
`;

interface InspectedRecord {
  readonly subgraph: string;
  readonly type: string;
  readonly key: Record<string, string>;
  readonly fields: readonly {
    field: string;
    value: unknown;
    ageMs: number;
    freshForMs: number;
    version: number;
    tags: readonly string[];
  }[];
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
});

async function main(args: readonly string[]): Promise<number> {
  const list = { type: 'string', multiple: true } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { type: list, tag: list, subgraph: list, viewer: list },
  });
  const [action, ...entities] = positionals;
  if (action === 'inspect' && entities.length === 1) {
    const { records } = (await ask('POST', '/inspect', { entity: entities[0] })) as { records: InspectedRecord[] };
    process.stdout.write(records.map(textOf).join('\n'));
    return 0;
  }
  if (action === 'drop') {
    const { type: types, tag: tags, subgraph: subgraphs, viewer: viewers } = values;
    const { dropped } = (await ask('POST', '/drop', { entities, types, tags, subgraphs, viewers })) as {
      dropped: boolean;
    };
    process.stdout.write(
      dropped
        ? 'Dropped.\n'
        : 'The store does not answer; it is tried again until it does, and until then nothing is read.\n',
    );
    return 0;
  }
  if (action === 'counts') {
    const { counts } = (await ask('GET', '/counts')) as { counts: Record<string, unknown>[] };
    for (const { subgraph, field, hits, misses, stale } of counts)
      process.stdout.write(
        `${String(subgraph)}  ${String(field)}  ${String(hits)} found, ${String(misses)} missing, ${String(stale)} stale\n`,
      );
    return 0;
  }
  process.stderr.write(USAGE);
  return 2;
}

async function ask(method: string, path: string, body?: unknown): Promise<unknown> {
  const { ENTITY_CACHE_PORT: port, ENTITY_CACHE_SECRET: secret, HOST: host = '127.0.0.1' } = process.env;
  if (!port || !secret)
    throw new Error('Say which gateway: ENTITY_CACHE_PORT and ENTITY_CACHE_SECRET, as it was started with.');
  const response = await fetch(`http://${host}:${port}${path}`, {
    method,
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer = (await response.json()) as { error?: string };
  if (!response.ok) throw new Error(answer.error ?? `The gateway answered ${response.status}.`);
  return answer;
}

function textOf({ subgraph, type, key, fields }: InspectedRecord): string {
  const head = `${subgraph}  ${type} ${JSON.stringify(key)}\n`;
  if (fields.length === 0) return `${head}  nothing is kept\n`;
  return (
    head +
    fields
      .map(({ field, value, ageMs, freshForMs, version, tags }) => {
        const fresh = freshForMs > 0 ? `fresh for ${seconds(freshForMs)}` : `stale since ${seconds(-freshForMs)}`;
        const tagged = tags.length === 0 ? '' : `, tags ${tags.join(', ')}`;
        return `  ${field} = ${shortened(JSON.stringify(value))}\n    ${seconds(ageMs)} old, ${fresh}, version ${version}${tagged}\n`;
      })
      .join('')
  );
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function shortened(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
