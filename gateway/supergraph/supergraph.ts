import { createHash } from 'node:crypto';
import { parse, type ArgumentNode, type ConstDirectiveNode, type DocumentNode, type GraphQLSchema } from 'graphql';
import { splitAddresses, whyNotAsked } from '../fetch/addresses.js';
import { apiSchema } from './api-schema.js';
import { hostRule, type HostRule } from './hosts.js';

/** A composed graph as one immutable value: a request takes it once and finishes on it, whatever is swapped in meanwhile. */
export interface Supergraph {
  readonly sdl: string;
  /** SHA-256 of the SDL. */
  readonly id: string;
  readonly document: DocumentNode;
  /** What clients see: without join and link machinery and without @inaccessible elements. */
  readonly schema: GraphQLSchema;
  /** By the name that composition gave them. */
  readonly subgraphs: ReadonlyMap<string, Subgraph>;
  /** The specs that the SDL links (`@link`, or `@core` of Federation 1). */
  readonly features: readonly Feature[];
}

export interface Subgraph {
  readonly name: string;
  /** The value of `enum join__Graph`. */
  readonly graph: string;
  readonly url: string;
}

export interface Feature {
  /** 'https://specs.apollo.dev/join' */
  readonly identity: string;
  /** 'v0.5' */
  readonly version: string;
  /** The prefix of its elements: 'join' in `@join__field`. */
  readonly as: string;
  /** Elements imported under a name of their own: `@tag` → `tag`. Directives with their @. */
  readonly imports: ReadonlyMap<string, string>;
  readonly for: string | undefined;
}

/** The text is no supergraph that can be served; the message says why and the old one stays. */
export class SupergraphError extends Error {
  override readonly name = 'SupergraphError';
}

/** Another address for a subgraph than the one composed in (`SUBGRAPH_URL_<NAME>`); undefined: the composed one. */
export type AddressOf = (subgraph: string) => string | undefined;

/** SDL → value; throws SupergraphError. */
export function readSupergraph(
  sdl: string,
  addressOf: AddressOf = () => undefined,
  mayAsk: HostRule = hostRule(undefined),
): Supergraph {
  const document = parseSdl(sdl);
  const features = featuresOf(document);
  const join = joinOf(features);
  const subgraphs = subgraphsOf(document, join, addressOf, mayAsk);
  return Object.freeze({
    sdl,
    id: createHash('sha256').update(sdl).digest('hex'),
    document,
    schema: apiSchema(document, features),
    subgraphs,
    features,
  });
}

/** The names of the subgraphs alone, whatever their addresses are; throws SupergraphError. */
export function subgraphNamesOf(sdl: string): string[] {
  const document = parseSdl(sdl);
  return graphsOf(document, joinOf(featuresOf(document))).map(({ name }) => name);
}

/** The prefix of the join spec's elements. */
function joinOf(features: readonly Feature[]): string {
  const join = features.find((feature) => feature.identity === 'https://specs.apollo.dev/join');
  if (join) return join.as;
  throw new SupergraphError(
    'The SDL links no join spec, so it is no supergraph; compose one (npm run compose) or give SUBGRAPHS.',
  );
}

function parseSdl(sdl: string): DocumentNode {
  try {
    return parse(sdl);
  } catch (error) {
    throw new SupergraphError(`The supergraph is not GraphQL SDL: ${String((error as Error).message)}`, {
      cause: error,
    });
  }
}

function featuresOf(document: DocumentNode): Feature[] {
  const features: Feature[] = [];
  for (const definition of document.definitions) {
    if (definition.kind !== 'SchemaDefinition' && definition.kind !== 'SchemaExtension') continue;
    for (const directive of definition.directives ?? []) {
      const feature =
        directive.name.value === 'link' || directive.name.value === 'core' ? featureOf(directive) : undefined;
      if (feature) features.push(feature);
    }
  }
  return features;
}

function featureOf(directive: ConstDirectiveNode): Feature | undefined {
  const url = textArgument(directive, 'url') ?? textArgument(directive, 'feature');
  const found = /^(.*\/([^/]+))\/(v\d+\.\d+)\/?$/.exec(url ?? '');
  if (!found) return undefined;
  return {
    identity: found[1]!,
    version: found[3]!,
    as: textArgument(directive, 'as') ?? found[2]!,
    imports: importsOf(argument(directive, 'import')),
    for: enumArgument(directive, 'for'),
  };
}

/** `import: ["@key", { name: "@tag", as: "@label" }]` */
function importsOf(node: ArgumentNode | undefined): Map<string, string> {
  const imports = new Map<string, string>();
  if (node?.value.kind !== 'ListValue') return imports;
  for (const item of node.value.values) {
    if (item.kind === 'StringValue') imports.set(item.value, item.value);
    if (item.kind !== 'ObjectValue') continue;
    const given = new Map(
      item.fields.map((field) => [field.name.value, field.value.kind === 'StringValue' ? field.value.value : '']),
    );
    const name = given.get('name');
    if (name) imports.set(name, given.get('as') ?? name);
  }
  return imports;
}

function subgraphsOf(
  document: DocumentNode,
  join: string,
  addressOf: AddressOf,
  mayAsk: HostRule,
): Map<string, Subgraph> {
  const subgraphs = new Map<string, Subgraph>();
  for (const { name, graph, url: composed } of graphsOf(document, join)) {
    const given = addressOf(name);
    const url = given ?? composed;
    if (given === undefined || !isAskable(given)) refuseUrl(name, url);
    // What an operator has set is theirs to answer for.
    if (given === undefined) requireAskable(name, url, mayAsk);
    subgraphs.set(name, { name, graph, url });
  }
  if (subgraphs.size === 0)
    throw new SupergraphError(`The supergraph has no enum ${join}__Graph, so it names no subgraph.`);
  return subgraphs;
}

/** As composition wrote them. */
function graphsOf(document: DocumentNode, join: string): Subgraph[] {
  return document.definitions.flatMap((definition) => {
    if (definition.kind !== 'EnumTypeDefinition' || definition.name.value !== `${join}__Graph`) return [];
    return (definition.values ?? []).map((value) => {
      const directive = value.directives?.find((one) => one.name.value === `${join}__graph`);
      const graph = value.name.value;
      const name = (directive && textArgument(directive, 'name')) ?? graph;
      return { name, graph, url: (directive && textArgument(directive, 'url')) ?? '' };
    });
  });
}

/** One or more addresses that an operator has set; a socket of this machine may be among them. */
function isAskable(addresses: string): boolean {
  const all = splitAddresses(addresses);
  return all.length > 0 && all.every((address) => whyNotAsked(address) === undefined);
}

/** A supergraph is written by others: it must not turn the gateway into a reader of files or a carrier of passwords. */
function refuseUrl(name: string, url: string): void {
  if (!URL.canParse(url)) {
    throw new SupergraphError(
      `Subgraph ${name} has no usable address (${JSON.stringify(url)}); set ${variableOf(name)}.`,
    );
  }
  const { protocol, username, password } = new URL(url);
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new SupergraphError(
      `Subgraph ${name} is at ${protocol}, but only http: and https: are called; set ${variableOf(name)}.`,
    );
  }
  if (username !== '' || password !== '') {
    throw new SupergraphError(
      `The address of subgraph ${name} carries a user name or password; identity goes by assertion.`,
    );
  }
}

/**
 * A list is one address with a long path to the URL parser, which would look at the first host alone; whoever asks takes every address of
 * it, and one may be a socket. So lists are an operator's.
 */
function requireAskable(name: string, url: string, mayAsk: HostRule): void {
  if (splitAddresses(url).length !== 1) {
    throw new SupergraphError(
      `Subgraph ${name} has several addresses, which only an operator may give; set ${variableOf(name)}.`,
    );
  }
  if (!mayAsk(new URL(url))) {
    throw new SupergraphError(
      `Subgraph ${name} is at ${new URL(url).origin}, which is not to be asked; list it in SUBGRAPH_HOSTS or set ${variableOf(name)}.`,
    );
  }
}

/** The environment variable that replaces a subgraph's address: `my-posts` → `SUBGRAPH_URL_MY_POSTS`. */
export function variableOf(subgraph: string): string {
  return `SUBGRAPH_URL_${subgraph.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`;
}

function argument(directive: ConstDirectiveNode, name: string): ArgumentNode | undefined {
  return directive.arguments?.find((one) => one.name.value === name);
}

function textArgument(directive: ConstDirectiveNode, name: string): string | undefined {
  const value = argument(directive, name)?.value;
  return value?.kind === 'StringValue' ? value.value : undefined;
}

function enumArgument(directive: ConstDirectiveNode, name: string): string | undefined {
  const value = argument(directive, name)?.value;
  return value?.kind === 'EnumValue' ? value.value : undefined;
}
