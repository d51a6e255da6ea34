import { createHash } from 'node:crypto';
import { Kind, print, validate, type DocumentNode, type OperationDefinitionNode } from 'graphql';
import type { Operation } from '../../../gateway/engine.js';
import { coerceVariables } from '../../../gateway/http/variables.js';
import { betweenDifference, difference } from './compare.js';
import { chooser, type Choose } from './choose.js';
import { KNOWN, type Known } from './known.js';
import { makeOperation, type Question } from './make-operation.js';
import { CALM, type Moment } from './values.js';
import { DoesNotCompose, modelOf, WAYS, World, type Tampering, type Told, type Way } from './world.js';

export interface ConformOptions {
  readonly operations: number;
  readonly perWorld: number;
  readonly seed: number;
  readonly tampering?: Tampering;
  /** Ends at the first difference that is not known. */
  readonly untilFailure?: boolean;
  readonly progress?: (done: number, result: Result) => void;
  /** So many failures are made smaller. */
  readonly shrinks?: number;
  readonly shrink?: (found: Case, world: World) => Promise<Case>;
  /** Told before each question, so that it is known what was asked if this process is ended by a native library. */
  readonly asking?: (world: World, seed: number, nth: number, question: Question) => void;
}

/** One operation on one world, where somebody answers otherwise than the monolith. */
export interface Case {
  readonly world: number;
  readonly nth: number;
  readonly way: Way;
  readonly why: string;
  readonly sdl: Readonly<Record<string, string>>;
  readonly question: Question;
  readonly moment: Moment;
  readonly truth: Told;
  readonly came: Told;
  /** What subgraphs complained of. */
  readonly said: readonly string[];
}

export interface Result {
  operations: number;
  worlds: number;
  discarded: number;
  calls: number;
  /** Operations during which something failed. */
  failing: number;
  readonly agreements: Record<Way, number>;
  readonly known: Map<string, number>;
  readonly failures: Case[];
}

/** Asks generated questions of generated worlds, of every engine, and compares with graphql-js over the merged schema. */
export async function conform(options: ConformOptions): Promise<Result> {
  const result: Result = {
    operations: 0,
    worlds: 0,
    discarded: 0,
    calls: 0,
    failing: 0,
    agreements: { default: 0, batches: 0, apollo: 0, native: 0, stock: 0 },
    known: new Map(),
    failures: [],
  };
  for (let seed = options.seed; result.operations < options.operations; seed += 1) {
    const world = open(seed, options.tampering);
    if (!world) {
      result.discarded += 1;
      continue;
    }
    result.worlds += 1;
    try {
      for (let nth = 0; nth < options.perWorld && result.operations < options.operations; nth += 1) {
        await one(world, seed, nth, result, options);
        options.progress?.(result.operations, result);
        if (options.untilFailure && result.failures.length > 0) return result;
      }
    } finally {
      await world.close();
    }
  }
  return result;
}

function open(seed: number, tampering?: Tampering): World | undefined {
  try {
    const { model, sdl } = modelOf(seed);
    return new World(model, sdl, tampering);
  } catch (error) {
    if (error instanceof DoesNotCompose) return undefined;
    throw error;
  }
}

async function one(
  world: World,
  seed: number,
  nth: number,
  result: Result,
  options: ConformOptions,
): Promise<void> {
  const { question, moment } = questionOf(world, seed, nth);
  if (validate(world.api, question.document).length > 0) return;
  result.operations += 1;
  options.asking?.(world, seed, nth, question);
  if (moment !== CALM) result.failing += 1;
  for (const found of await differences(world, question, moment)) {
    result.calls += found.came.calls?.length ?? 0;
    if (!found.why) {
      result.agreements[found.way] += 1;
      continue;
    }
    const failure: Case = { world: seed, nth, sdl: world.sdl, question, moment, ...found, why: found.why };
    const known = KNOWN.find((one: Known) => one.is(failure, world));
    if (known) result.known.set(known.name, (result.known.get(known.name) ?? 0) + 1);
    else {
      const small = options.shrink && result.failures.length < (options.shrinks ?? 0);
      result.failures.push(small ? await options.shrink!(failure, world) : failure);
    }
  }
}

/** The nth operation of a world, and what fails while it runs. */
export function questionOf(world: World, seed: number, nth: number): { question: Question; moment: Moment } {
  const choose = chooser(seed * 10_000 + nth);
  return { question: makeOperation(world.api, choose), moment: makeMoment(world, choose) };
}

export interface Found {
  readonly way: Way;
  readonly why: string | undefined;
  readonly truth: Told;
  readonly came: Told;
  /** What subgraphs complained of. */
  readonly said: readonly string[];
}

export async function differences(
  world: World,
  question: Question,
  moment: Moment,
  ways: readonly Way[] = WAYS,
): Promise<Found[]> {
  const operation = operationOf(question.document);
  const variables = coerceVariables(world.supergraph.schema, operation, question.variables, false);
  const truth = await world.truth(operation, variables, moment);
  const least =
    moment.down === undefined ? truth : await world.truth(operation, variables, { ...moment, pessimistic: true });
  const exact = JSON.stringify(least) === JSON.stringify(truth);
  const found: Found[] = [];
  for (const way of ways) {
    const came = await world.ask(way, operation, variables, moment);
    const why = exact ? difference(truth, came) : betweenDifference(least, truth, came);
    found.push({ way, why, truth, came, said: [...world.said] });
  }
  return found;
}

/** Usually nothing fails; then a field or two, then a whole subgraph. */
function makeMoment(world: World, choose: Choose): Moment {
  if (choose.chance(70)) return CALM;
  const { objects, subgraphs } = world.model;
  if (choose.chance(30)) return { ...CALM, down: choose.one(subgraphs) };
  const fields = [...objects.values()].flatMap((type) =>
    [...type.fields.values()]
      .filter((field) => !field.needed && field.name !== 'turn')
      .map((field) => `${field.of ?? type.name}.${field.name}`),
  );
  return { ...CALM, failing: new Set(choose.some(fields, 1, Math.max(1, fields.length >> 3))) };
}

export function operationOf(document: DocumentNode): Operation {
  const query = print(document);
  const definition = document.definitions.find(
    (one): one is OperationDefinitionNode => one.kind === Kind.OPERATION_DEFINITION,
  )!;
  const hash = createHash('sha256').update(query).digest('hex');
  return {
    query,
    document,
    definition,
    operationName: definition.name?.value,
    type: definition.operation as Operation['type'],
    hash,
  };
}
