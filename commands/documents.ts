import { createHash } from 'node:crypto';
import { chmodSync, readdirSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  GraphQLError,
  Kind,
  parse,
  print,
  Source,
  specifiedRules,
  validate,
  visit,
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import { checkLimits, type Limits } from '../gateway/http/limits.js';
import { readSupergraph } from '../gateway/supergraph/supergraph.js';
import { readGatewayConfig } from '../gateway/config.js';
import { CommandError, given, readGiven } from './read-given.js';

const USAGE = `npm run documents -- folder-or-file … [options]

Registers a front end's operations: finds every .graphql and .gql file, joins each operation with the fragments that it uses
(from whichever file), checks it against the graph and the gateway's limits, and writes what PERSISTED_DOCUMENTS takes.
With SAFELIST=on the gateway then runs nothing else.

  --out documents.json               default documents.json; what is there stays registered, unless --replace
  --supergraph file                  default schema/supergraph.graphql
  --typename                         add __typename as Apollo Client and urql do before they send
  --replace                          forget what is registered already
`;

/** One operation of the manifest that Apollo's tools write and read (`generate-persisted-query-manifest`). */
interface Registered {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly body: string;
}

export function documentsCommand(args: readonly string[], say: (text: string) => void): number {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      out: { type: 'string', default: 'documents.json' },
      supergraph: { type: 'string', default: 'schema/supergraph.graphql' },
      typename: { type: 'boolean', default: false },
      replace: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help || positionals.length === 0) {
    say(USAGE);
    return values.help ? 0 : 2;
  }
  const { schema } = readSupergraph(readGiven(values.supergraph, '--supergraph takes a file with a composed graph'));
  const { limits } = readGatewayConfig({ ...process.env, SUPERGRAPH: values.supergraph });
  const sources = filesOf(positionals).map((file) => new Source(readGiven(file, TAKES), file));
  const { operations, mistakes } = register(sources, schema, limits, values.typename);
  if (sources.length === 0)
    mistakes.push(`expected .graphql or .gql files in ${positionals.join(', ')}; there are none`);
  if (mistakes.length > 0) {
    say(`${mistakes.join('\n')}\n\nNothing was written: ${mistakes.length} to mend.\n`);
    return 1;
  }
  const before = values.replace ? [] : registeredIn(values.out);
  const all = new Map([...before, ...operations].map((one) => [one.id, one]));
  const manifest = { format: 'apollo-persisted-query-manifest', version: 1, operations: [...all.values()] };
  replaceWhole(values.out, `${JSON.stringify(manifest, null, 2)}\n`);
  const known = new Set(before.map(({ id }) => id));
  const fresh = operations.filter(({ id }) => !known.has(id)).length;
  say(`${values.out}: ${all.size} documents, ${fresh} of them new\n`);
  return 0;
}

/** What is wrong is told with its file and line, all at once. */
export function register(
  sources: readonly Source[],
  schema: GraphQLSchema,
  limits: Limits,
  typename: boolean,
): { operations: Registered[]; mistakes: string[] } {
  const mistakes: string[] = [];
  const fragments = new Map<string, FragmentDefinitionNode>();
  const found = new Map<string, OperationDefinitionNode>();
  for (const source of sources) {
    let document: DocumentNode;
    try {
      document = parse(source);
    } catch (error) {
      mistakes.push(told(error));
      continue;
    }
    for (const one of document.definitions) {
      if (one.kind !== Kind.OPERATION_DEFINITION && one.kind !== Kind.FRAGMENT_DEFINITION) continue;
      const into: Map<string, unknown> = one.kind === Kind.OPERATION_DEFINITION ? found : fragments;
      const name = one.name?.value;
      if (name === undefined) mistakes.push(`${source.name}: an operation needs a name to be registered`);
      else if (into.has(name)) mistakes.push(`${source.name}: ${name} is defined twice; a name means one thing`);
      else into.set(name, one);
    }
  }
  const operations = [...found].flatMap(([name, operation]) => {
    const whole: DocumentNode = { kind: Kind.DOCUMENT, definitions: [operation, ...usedBy(operation, fragments)] };
    const body = print(typename ? withTypename(whole) : whole);
    try {
      const errors = validate(schema, whole, specifiedRules);
      if (errors.length > 0) throw errors[0]!;
      checkLimits(parse(body, { maxLexicalTokens: limits.tokens }), limits);
    } catch (error) {
      mistakes.push(error instanceof GraphQLError ? told(error) : `${name}: ${(error as Error).message}`);
      return [];
    }
    const id = createHash('sha256').update(body).digest('hex');
    return [{ id, name, type: operation.operation as string, body }];
  });
  return { operations, mistakes };
}

function usedBy(
  from: OperationDefinitionNode | FragmentDefinitionNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
  used = new Map<string, FragmentDefinitionNode>(),
): FragmentDefinitionNode[] {
  visit(from, {
    FragmentSpread({ name: { value } }) {
      const fragment = fragments.get(value);
      if (!fragment || used.has(value)) return;
      used.set(value, fragment);
      usedBy(fragment, fragments, used);
    },
  });
  return [...used.values()];
}

/** On every selection set but an operation's own, at its end, once: the text that the client will send. */
function withTypename(document: DocumentNode): DocumentNode {
  return visit(document, {
    SelectionSet(node, _key, parent) {
      const isOperation = (parent as { kind?: string }).kind === Kind.OPERATION_DEFINITION;
      const has = node.selections.some(
        (one) => one.kind === Kind.FIELD && one.name.value === '__typename' && !one.alias,
      );
      if (isOperation || has) return undefined;
      const field = { kind: Kind.FIELD, name: { kind: Kind.NAME, value: '__typename' } } as const;
      return { ...node, selections: [...node.selections, field] };
    },
  });
}

const TAKES = 'npm run documents takes folders, or .graphql and .gql files';

function filesOf(places: readonly string[]): string[] {
  const files = places.flatMap((place) => {
    const isFolder = given(place, TAKES, () => statSync(place).isDirectory());
    if (!isFolder) return [place];
    const below = given(place, TAKES, () => readdirSync(place, { recursive: true, encoding: 'utf8' }));
    return below
      .filter((file) => /\.(graphql|gql)$/.test(file) && !/(^|[\\/])node_modules[\\/]/.test(file))
      .map((file) => join(place, file));
  });
  return [...new Set(files)].toSorted();
}

const OUT = '--out takes a file, in a folder that is there and may be written to';

function registeredIn(file: string): Registered[] {
  if (!given(file, OUT, () => statSync(file, { throwIfNoEntry: false }))) return [];
  const wrong = new CommandError(`${file} is not a file that this command wrote; say --replace or another --out`);
  let held: unknown;
  try {
    held = JSON.parse(readGiven(file, OUT));
  } catch (error) {
    throw error instanceof CommandError ? error : wrong;
  }
  const { operations } = (held ?? {}) as { operations?: Registered[] };
  if (!Array.isArray(operations)) throw wrong;
  return operations;
}

/** Gateways read it while it is replaced: they see the one before or this one, whole, also when the machine stops meanwhile. */
function replaceWhole(out: string, text: string): void {
  const there = statSync(out, { throwIfNoEntry: false });
  // Of a link what it leads to is replaced, and the link stays.
  const file = there ? realpathSync(out) : out;
  const beside = `${file}.${process.pid}.new`;
  try {
    given(out, OUT, () => writeFileSync(beside, text, { flush: true }));
    // Who may read it (a gateway of another account) may do so still.
    if (there) chmodSync(beside, there.mode & 0o777);
    renameSync(beside, file);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}

function told(error: unknown): string {
  if (!(error instanceof GraphQLError)) return String(error);
  const at = error.locations?.[0];
  return `${error.source?.name ?? error.nodes?.[0]?.loc?.source.name ?? ''}${at ? `:${at.line}:${at.column}` : ''}: ${error.message}`;
}

/** True when this file is the program that was started, by itself or through commands/run.mjs. */
if (process.argv[1] === 'documents' || process.argv[1]?.endsWith('/documents.js')) {
  try {
    process.exitCode = documentsCommand(process.argv.slice(2), (text) => process.stdout.write(text));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
