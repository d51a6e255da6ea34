import { createHash } from 'node:crypto';
import { Kind, print, validate, type DocumentNode, type OperationDefinitionNode } from 'graphql';
import type { Operation } from '../../../gateway/engine.js';
import { coerceVariables } from '../../../gateway/http/variables.js';
import { chooser, type Choose } from './choose.js';
import { betweenDifference, difference } from './compare.js';
import { makeOperation, type Question } from './make-operation.js';
import { CALM, type Moment } from './values.js';
import { DoesNotCompose, modelOf, WAYS, World, type Tampering, type Told, type Way } from './world.js';

export interface ConformOptions {
  readonly operations: number;
  readonly perWorld: number;
  readonly seed: number;
  /** After so many an operation goes no deeper. */
  readonly fields: number;
  readonly tampering?: Tampering;
  /** Who is asked; absent: everybody. */
  readonly ways?: readonly Way[];
  /** Ends at the first that is wrong. */
  readonly untilWrong?: boolean;
  readonly progress?: (result: Result) => void;
  /** So many cases of each way are made smaller. */
  readonly shrinks?: number;
  readonly shrink?: (found: Case, world: World) => Promise<Case>;
}

/** One operation on one world, where somebody answers otherwise than the monolith. */
export interface Case extends Found {
  readonly world: number;
  readonly nth: number;
  readonly sdl: Readonly<Record<string, string>>;
  readonly question: Question;
  readonly moment: Moment;
}

export type Verdict =
  | 'right'
  /** No answer, and the client is told so. */
  | 'refused'
  | 'wrong';

export interface Result {
  operations: number;
  worlds: number;
  discarded: number;
  /** Operations during which something failed. */
  failing: number;
  readonly verdicts: Record<Way, Record<Verdict, number>>;
  /** Calls to subgraphs, of the operations that every way answered rightly. */
  readonly calls: Record<Way, number>;
  /** Operations of those for which our engine made more calls than stock. */
  moreCalls: number;
  readonly cases: Case[];
}

/** Asks generated questions of generated worlds, of every engine, and compares with graphql-js over the merged schema. */
export async function conform(options: ConformOptions): Promise<Result> {
  const each = <T>(make: () => T) => Object.fromEntries(WAYS.map((way) => [way, make()])) as Record<Way, T>;
  const result: Result = {
    operations: 0,
    worlds: 0,
    discarded: 0,
    failing: 0,
    verdicts: each(() => ({ right: 0, refused: 0, wrong: 0 })),
    calls: each(() => 0),
    moreCalls: 0,
    cases: [],
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
        options.progress?.(result);
        if (options.untilWrong && wrongOf(result) > 0) return result;
      }
    } finally {
      await world.close();
    }
  }
  return result;
}

/** Whose wrong answers are ours to mend. `ApolloGateway` is compared, too, but nothing here can mend it. */
export const OURS = ['default', 'batches', 'apollo', 'native'] as const satisfies readonly Way[];

export function wrongOf({ verdicts }: Pick<Result, 'verdicts'>): number {
  return OURS.reduce((sum, way) => sum + verdicts[way].wrong + verdicts[way].refused, 0);
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

async function one(world: World, seed: number, nth: number, result: Result, options: ConformOptions): Promise<void> {
  const { question, moment } = questionOf(world, seed, nth, options.fields);
  if (validate(world.api, question.document).length > 0) return;
  result.operations += 1;
  if (moment !== CALM) result.failing += 1;
  const ways = options.ways ?? WAYS;
  const found = await differences(world, question, moment, ways);
  for (const one of found) {
    result.verdicts[one.way][one.verdict] += 1;
    if (one.verdict === 'right') continue;
    const told: Case = { world: seed, nth, sdl: world.sdl, question, moment, ...one };
    const before = result.cases.filter(({ way, verdict }) => way === one.way && verdict === one.verdict).length;
    result.cases.push(options.shrink && before < (options.shrinks ?? 0) ? await options.shrink(told, world) : told);
  }
  if (found.some(({ verdict }) => verdict !== 'right')) return;
  const calls = (way: Way) => found.find((one) => one.way === way)?.came.calls?.length ?? 0;
  for (const way of ways) result.calls[way] += calls(way);
  if (calls('default') > calls('stock')) result.moreCalls += 1;
}

/** The nth operation of a world, and what fails while it runs. */
export function questionOf(
  world: World,
  seed: number,
  nth: number,
  fields: number,
): { question: Question; moment: Moment } {
  const choose = chooser(seed * 10_000 + nth);
  return { question: makeOperation(world.api, choose, fields), moment: makeMoment(world, choose) };
}

export interface Found {
  readonly way: Way;
  readonly verdict: Verdict;
  /** What is different. */
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
    const said = [...world.said];
    const why = exact ? difference(truth, came) : betweenDifference(least, truth, came);
    const verdict: Verdict = came.refused ? 'refused' : why === undefined ? 'right' : 'wrong';
    found.push({ way, verdict, why, truth, came, said });
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
