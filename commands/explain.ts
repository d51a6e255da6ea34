import { parseArgs } from 'node:util';
import { silent } from '#libs/telemetry';
import { EXPLAIN_HEADER } from '../gateway/explain/permission.js';
import type { Explanation } from '../gateway/explain/explanation.js';
import { stagesOf } from '../gateway/explain/stages.js';
import { printCache, waterfall } from '../gateway/explain/waterfall.js';
import { Documents } from '../gateway/http/documents.js';
import { Refusal } from '../gateway/http/refusal.js';
import { coerceVariables } from '../gateway/http/variables.js';
import { readSupergraph, SupergraphError } from '../gateway/supergraph/supergraph.js';
import { CommandError, readGiven } from './read-given.js';

const USAGE = `npm run explain -- file.graphql [options]

Prints what becomes of an operation: as it is planned, its plan, and the fetches that are run. With --url also how a
running gateway answered it, fetch by fetch.

  --variables '{"handle":"alice"}'   JSON
  --operation Name                   when the file has several
  --supergraph file                  default schema/supergraph.graphql
  --planner auto|native|apollo       --merge flow|plan
  --url http://localhost:4000/graphql
  --token …                          sent as Authorization: Bearer …
  --explain-token …                  where the gateway runs with EXPLAIN=token
  --json                             with --url: extensions.explain as it came
`;

/** Limits are the gateway's matter; here a person asks about an operation of their own. */
const RULES = {
  limits: {
    tokens: 100_000,
    depth: 100,
    aliases: 10_000,
    aliasLength: 10_000,
    rootFields: 10_000,
    directives: 10_000,
    selections: 1_000_000,
    items: 1_000_000_000,
    valueDepth: 20,
  },
  introspection: true,
  suggestions: true,
  cacheBytes: 1_000_000,
};

export async function explainCommand(args: readonly string[], print: (text: string) => void): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      variables: { type: 'string', default: '{}' },
      operation: { type: 'string' },
      supergraph: { type: 'string', default: 'schema/supergraph.graphql' },
      planner: { type: 'string', default: 'auto' },
      merge: { type: 'string', default: 'flow' },
      url: { type: 'string' },
      token: { type: 'string' },
      'explain-token': { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const [file] = positionals;
  if (file === undefined || values.help) {
    print(USAGE);
    return values.help ? 0 : 2;
  }
  const query = readGiven(file, 'npm run explain takes a file with an operation');
  const given = variablesOf(values.variables);
  const ask = { query, operationName: values.operation, variables: given };
  if (values.url !== undefined && values.json) {
    const { explanation } = await asked(values.url, ask, values);
    print(`${JSON.stringify(explanation, null, 2)}\n`);
    return 0;
  }

  const supergraph = readSupergraph(readGiven(values.supergraph, '--supergraph takes a file with a composed graph'));
  const operation = new Documents(supergraph.schema, RULES).operation(query, values.operation);
  const variables = coerceVariables(supergraph.schema, operation, given, true);
  const { planner, ...stages } = await stagesOf(supergraph, operation, variables, {
    planner: oneOf('planner', values.planner, ['auto', 'native', 'apollo'] as const),
    merge: oneOf('merge', values.merge, ['flow', 'plan'] as const),
    logger: silent,
  });
  print(section('Operation', stages.operation));
  print(section(`Plan (${planner})`, stages.plan));
  print(section('Fetches', stages.fetches));
  if (values.url === undefined) return 0;
  const { explanation, errors } = await asked(values.url, ask, values);
  print(section(`As ${values.url} answered it`, waterfall(explanation)));
  if (explanation.cache?.length) print(section('Entity cache', printCache(explanation.cache)));
  if (errors.length > 0) print(section('Errors', errors.map((error) => `  ${JSON.stringify(error)}`).join('\n')));
  return 0;
}

async function asked(
  url: string,
  body: object,
  { token, 'explain-token': permission }: { token?: string | undefined; 'explain-token': string },
): Promise<{ explanation: Explanation; errors: readonly unknown[] }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      [EXPLAIN_HEADER]: permission,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  });
  const text = await response.text();
  let answer: { errors?: readonly unknown[]; extensions?: { explain?: Explanation } };
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch {
    throw new CommandError(`${url} answered ${response.status}, and no JSON.`);
  }
  const explanation = answer.extensions?.explain;
  if (!explanation) {
    const why = answer.errors
      ? JSON.stringify(answer.errors[0])
      : 'it runs with EXPLAIN=off, with another EXPLAIN_TOKEN (--explain-token), or with ENGINE=apollo, which cannot tell';
    throw new CommandError(`${url} answered ${response.status}, but did not explain: ${why}`);
  }
  return { explanation, errors: answer.errors ?? [] };
}

function variablesOf(text: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Told below, like everything else that is no object.
  }
  throw new CommandError(`--variables takes a JSON object; came ${text}`);
}

function oneOf<const C extends readonly string[]>(option: string, value: string, of: C): C[number] {
  if (!of.includes(value)) throw new CommandError(`--${option} takes one of ${of.join(', ')}; came ${value}`);
  return value;
}

function section(title: string, text: string): string {
  return `── ${title} ${'─'.repeat(Math.max(0, 100 - title.length))}\n${text}\n\n`;
}

/** What a person did wrong is a sentence; anything else is ours and has a stack. */
function whyNot(error: unknown): string {
  if (error instanceof Refusal) return [error.message, ...(error.more.errors ?? []).map(String)].join('\n');
  const { code, message } = error as { code?: unknown; message?: string };
  const theirs = error instanceof CommandError || error instanceof SupergraphError || typeof code === 'string';
  if (!theirs && error instanceof TypeError && error.cause)
    return `${message}: ${String((error.cause as Error).message)}`;
  return theirs ? String(message) : String((error as Error).stack ?? error);
}

if (process.argv[1] === 'explain' || process.argv[1]?.endsWith('/explain.js')) {
  process.exitCode = await explainCommand(process.argv.slice(2), (text) => void process.stdout.write(text)).catch(
    (error: unknown) => {
      process.stderr.write(`${whyNot(error)}\n`);
      return 1;
    },
  );
}
