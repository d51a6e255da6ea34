import { createHash } from 'node:crypto';
import {
  getOperationAST,
  GraphQLError,
  Kind,
  parse,
  specifiedRules,
  validate,
  type DocumentNode,
  type FieldNode,
  type GraphQLSchema,
  type ValidationContext,
  type ValidationRule,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import type { Operation, Variables } from '../engine.js';
import { costCounter, requireAffordable, type CostRules, type CountCost } from './cost.js';
import { itemCounter, requireItems, type CountItems } from './items.js';
import { checkLimits, type Limits } from './limits.js';
import type { ListSizes } from './page-sizes.js';
import { readingCost, type Reading } from './reading.js';
import { Refusal, type RefusedError } from './refusal.js';

export interface DocumentRules {
  readonly limits: Limits;
  readonly introspection: boolean;
  /** May validation say "Did you mean …"? It tells names that introspection would hide. */
  readonly suggestions: boolean;
  readonly cacheBytes: number;
  readonly listSizes?: ListSizes;
  /** Absent: nothing has a cost. `limit` 0: everything has one, and none is too high. */
  readonly cost?: CostRules & { readonly limit: number };
}

/** Validation stops there; one more entry says so. */
const VALIDATION_ERRORS_MAX = 4;

/**
 * Text → operation, in the order of what it costs: tokens, limits, validation; each text once, and what was found wrong is
 * kept as well as what was found right. Belongs to one schema and goes with it, so a text that was valid yesterday is
 * looked at again today.
 */
export class Documents {
  readonly #schema: GraphQLSchema;
  readonly #rules: DocumentRules;
  readonly #validation: readonly ValidationRule[];
  readonly #known: LRUCache<string, Known>;
  readonly #items = new WeakMap<Operation, CountItems>();
  readonly #costs = new WeakMap<Operation, CountCost | Refusal>();
  readonly #planning = new WeakMap<Operation, number>();

  constructor(schema: GraphQLSchema, rules: DocumentRules) {
    this.#schema = schema;
    this.#rules = rules;
    // specifiedRules already holds back circular introspection (MaxIntrospectionDepthRule).
    this.#validation = rules.introspection ? specifiedRules : [...specifiedRules, introspectionIsOff];
    this.#known = new LRUCache({
      maxSize: rules.cacheBytes,
      sizeCalculation: (known, text) => 2 * text.length + known.bytes,
      maxEntrySize: rules.cacheBytes,
    });
  }

  /**
   * The operation that `name` means in `text`; throws a Refusal when there is none that may run. `charge` is told first what it has cost to
   * read the text, where nobody had sent it before (reading.ts).
   */
  operation(text: string, name: string | undefined, charge?: (cost: number) => void): Operation {
    let known = this.#known.get(text);
    if (known === undefined) {
      known = this.#read(text);
      this.#known.set(text, known);
      charge?.(known.read);
    }
    if ('refusal' in known) throw known.refusal;
    let operation = known.operations.get(name);
    if (operation === undefined) {
      operation = operationOf(text, known.document, name);
      known.operations.set(name, operation);
      this.#planning.set(operation, known.plan);
    }
    return operation;
  }

  /** Has somebody sent this text before? Then it costs nothing to find out what it means. */
  has(text: string): boolean {
    return this.#known.has(text);
  }

  /** Why this text could not run, whoever asked for it; undefined: it may. Nothing is remembered of it. */
  whyNot(text: string): Refusal | undefined {
    const known = this.#read(text);
    return 'refusal' in known ? known.refusal : undefined;
  }

  /** What it costs to have `operation` planned. */
  planning(operation: Operation): number {
    return this.#planning.get(operation) ?? 0;
  }

  /** Throws a Refusal when the pages of `operation` multiply to too many items with these variables. */
  requireItems(operation: Operation, variables: Variables): void {
    let count = this.#items.get(operation);
    if (count === undefined) {
      count = itemCounter(this.#schema, operation.document, operation.definition, this.#rules.listSizes);
      this.#items.set(operation, count);
    }
    requireItems(count(variables), this.#rules.limits.items);
  }

  /** What `operation` costs with these variables; throws a Refusal when that is more than one request may. */
  cost(operation: Operation, variables: Variables): number {
    const { cost: rules } = this.#rules;
    if (!rules) return 0;
    let count = this.#costs.get(operation);
    if (count === undefined) {
      count = this.#counter(operation, rules);
      this.#costs.set(operation, count);
    }
    if (count instanceof Refusal) throw count;
    const cost = count(variables);
    if (rules.limit > 0) requireAffordable(cost, rules.limit);
    return cost;
  }

  #counter({ document, definition }: Operation, rules: CostRules): CountCost | Refusal {
    try {
      return costCounter(this.#schema, document, definition, rules);
    } catch (error) {
      if (error instanceof Refusal) return error;
      throw error;
    }
  }

  get size(): number {
    return this.#known.size;
  }

  #read(text: string): Known {
    const { limits, suggestions } = this.#rules;
    // What is refused by a limit was hardly looked at.
    let costs = readingCost(0, 0);
    try {
      const document = parseDocument(text, limits.tokens);
      const fields = checkLimits(document, limits);
      const tokens = tokensOf(document);
      costs = readingCost(tokens, fields);
      const errors = validate(this.#schema, document, this.#validation, {
        maxErrors: VALIDATION_ERRORS_MAX,
        hideSuggestions: !suggestions,
      });
      if (errors.length > 0)
        throw Refusal.of('GRAPHQL_VALIDATION_FAILED', 'The operation does not fit the schema.', {
          errors: errors.map(said),
        });
      return { ...costs, document, bytes: tokens * TOKEN_BYTES, operations: new Map() };
    } catch (error) {
      if (error instanceof Refusal) return { ...costs, refusal: error, bytes: bytesOf(error) };
      throw error;
    }
  }
}

type Known = Reading & { readonly bytes: number } & (
    | { readonly refusal: Refusal }
    | { readonly document: DocumentNode; readonly operations: Map<string | undefined, Operation> }
  );

/**
 * A GraphQLError has nodes, whose locations have all the tokens of the document: 285 kB for a text of 1.2 kB. What is kept of it is what
 * a client is told.
 */
function said({ message, locations }: GraphQLError): RefusedError {
  return { message, locations };
}

function bytesOf(refusal: Refusal): number {
  const { errors = [] } = refusal.more;
  return errors.reduce((sum, { message }) => sum + 2 * message.length, REFUSAL_BYTES + 2 * refusal.message.length);
}

const REFUSAL_BYTES = 1_000;
/** Of heap, with the nodes that are made of it: measured 180 (objects in a list) to 510 (fields and nothing else). */
const TOKEN_BYTES = 350;

function tokensOf({ loc }: DocumentNode): number {
  let tokens = 0;
  for (let token = loc?.startToken ?? null; token !== null; token = token.next) tokens += 1;
  return tokens;
}

/** A token is at least one character, and few are longer than ten: what is far longer is comments, blanks or one text. */
const CHARACTERS_PER_TOKEN = 20;

function parseDocument(text: string, tokens: number): DocumentNode {
  try {
    return parse(text, {
      maxLexicalTokens: tokens,
      maxComments: tokens / 4,
      maxSourceLength: tokens * CHARACTERS_PER_TOKEN,
    });
  } catch (error) {
    // A list in a list in a list: the parser is recursive, and two thousand tokens are deep enough for its stack to end.
    if (error instanceof RangeError) throw Refusal.of('GRAPHQL_PARSE_FAILED', 'The document is nested too deeply.');
    if (!(error instanceof GraphQLError)) throw error;
    throw Refusal.of('GRAPHQL_PARSE_FAILED', error.message, { errors: [said(error)] });
  }
}

function operationOf(query: string, document: DocumentNode, name: string | undefined): Operation {
  const definition = getOperationAST(document, name);
  if (!definition) {
    const message =
      name === undefined
        ? 'The document has several operations, or none; say which by operationName.'
        : `The document has no operation named ${JSON.stringify(name)}.`;
    throw Refusal.of('OPERATION_RESOLUTION_FAILURE', message);
  }
  const type = definition.operation as string;
  if (type !== 'query' && type !== 'mutation') {
    throw Refusal.of(
      'OPERATION_RESOLUTION_FAILURE',
      'This graph answers queries and mutations; it serves no subscriptions.',
    );
  }
  const hash = createHash('sha256')
    .update(JSON.stringify([query, name ?? null]))
    .digest('hex');
  return Object.freeze({ query, document, definition, operationName: name, type, hash });
}

/** By the field's own name, wherever it stands: an alias, an operation or a fragment called `__schema` changes nothing. */
function introspectionIsOff(context: ValidationContext) {
  return {
    [Kind.FIELD](node: FieldNode) {
      if (node.name.value === '__schema' || node.name.value === '__type') {
        context.reportError(new GraphQLError('Introspection is off.', { nodes: [node] }));
      }
    },
  };
}
