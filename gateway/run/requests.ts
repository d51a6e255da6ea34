import type { CompiledEntities, Unit } from './compile.js';
import type { AnswerHeaders } from '../cache/run-cache.js';
import type { SubgraphAnswer } from './answer.js';
import type { Json, JsonObject } from './json.js';
import type { Send } from './run.js';

/** Entities of one unit that are asked about now. `targets[i]` are the places that wait for `representations[i]`. */
export interface Part {
  readonly fetch: CompiledEntities;
  readonly unit: Unit;
  readonly representations: string[];
  readonly targets: JsonObject[][];
  /** Which of the unit's paths each target is at; only where what came must not be shared between paths. */
  readonly groups: number[][] | undefined;
  /** Contextual arguments as JSON text. */
  readonly context: readonly (readonly [variable: string, json: string])[] | undefined;
  /** The entity cache listens, too. */
  readonly heard?: Heard;
}

/** What somebody beside the places that wait is told of an answer. */
export interface Heard {
  /** No place in the answer waits: it is for this listener alone. */
  readonly apart: boolean;
  came(answer: SubgraphAnswer, entities: readonly Json[], offset: number, headers: AnswerHeaders | undefined): void;
  /** By place among the `count`: what may be shown instead. */
  failed(offset: number, count: number): Promise<ReadonlyMap<number, JsonObject>>;
}

/** What goes to one subgraph at once, and where in the answers everything will be. */
export interface Outgoing {
  readonly bodies: readonly ((send: Send, subgraph: string) => Promise<Buffer>)[];
  readonly asked: readonly Asked[];
}

interface Asked {
  readonly part: Part;
  readonly alias: string;
  /** Representations `offset … offset + count` of the part are in this body. */
  readonly offset: number;
  readonly count: number;
  readonly body: number;
}

const REPRESENTATIONS_MAX = 1_000;
const CHUNKS_AT_ONCE = 4;
/** Aliases in one request; more travel as several. */
const TOGETHER_MAX = 16;
const TEXTS_KEPT = 64;

type Variable = (name: string) => string | undefined;

/**
 * In the plan's order, whichever became ready first: the same few texts then come again and again, here and in the caches of
 * parsed documents that subgraphs keep.
 */
export function requestsFor(ready: readonly Part[], variable: Variable, together: Map<string, string>): Outgoing[] {
  const parts = ready.length > 1 ? [...ready].sort((one, other) => one.unit.id - other.unit.id) : ready;
  const large = parts.filter((part) => part.representations.length > REPRESENTATIONS_MAX);
  const small = large.length === 0 ? parts : parts.filter((part) => part.representations.length <= REPRESENTATIONS_MAX);
  const requests = large.map((part) => inChunks(part, variable));
  for (let i = 0; i < small.length; i += TOGETHER_MAX) {
    const group = small.slice(i, i + TOGETHER_MAX);
    requests.push(
      group.length === 1 && !group[0]!.context ? alone(group[0]!, variable) : asOne(group, variable, together),
    );
  }
  return requests;
}

function alone(part: Part, variable: Variable): Outgoing {
  const body = bodyOf(part, part.representations, variable);
  return {
    bodies: [(send, subgraph) => send(subgraph, 'query', body)],
    asked: [{ part, alias: part.unit.alone.alias, offset: 0, count: part.representations.length, body: 0 }],
  };
}

/** A long list goes in pieces, a few at a time, so that no subgraph has to take more than it must accept. */
function inChunks(part: Part, variable: Variable): Outgoing {
  const asked: Asked[] = [];
  for (let offset = 0; offset < part.representations.length; offset += REPRESENTATIONS_MAX) {
    const count = Math.min(REPRESENTATIONS_MAX, part.representations.length - offset);
    asked.push({ part, alias: part.context ? '_e0' : part.unit.alone.alias, offset, count, body: asked.length });
  }
  const line = new Line(CHUNKS_AT_ONCE);
  const bodies = asked.map(({ offset, count }) => (send: Send, subgraph: string) => {
    const representations = part.representations.slice(offset, offset + count);
    const body = part.context
      ? mergedBody([{ ...part, representations }], variable, new Map())
      : bodyOf(part, representations, variable);
    return line.enter(() => send(subgraph, 'query', body));
  });
  return { bodies, asked };
}

function bodyOf({ unit }: Part, representations: readonly string[], variable: Variable): string {
  return `${unit.alone.head},"variables":{"${unit.alone.variable}":[${representations.join(',')}]${variablesOf(unit, variable)}}}`;
}

function variablesOf(unit: Unit, variable: Variable): string {
  let text = '';
  for (const { name } of unit.variables) {
    const value = variable(name);
    if (value !== undefined) text += `,${JSON.stringify(name)}:${value}`;
  }
  return text;
}

function asOne(parts: readonly Part[], variable: Variable, together: Map<string, string>): Outgoing {
  const body = mergedBody(parts, variable, together);
  return {
    bodies: [(send, subgraph) => send(subgraph, 'query', body)],
    asked: parts.map((part, index) => ({
      part,
      alias: `_e${index}`,
      offset: 0,
      count: part.representations.length,
      body: 0,
    })),
  };
}

function mergedBody(parts: readonly Part[], variable: Variable, together: Map<string, string>): string {
  const key = parts.map(({ unit, context }) => (context ? `${unit.id}c` : unit.id)).join();
  let head = together.get(key);
  if (head === undefined) {
    head = `{"query":${JSON.stringify(mergedText(parts))}`;
    if (together.size < TEXTS_KEPT) together.set(key, head);
  }
  let values = '';
  const given = new Set<string>();
  parts.forEach(({ representations, unit, context }, index) => {
    values += `${index === 0 ? '' : ','}"_r${index}":[${representations.join(',')}]`;
    for (const [name, json] of context ?? []) values += `,"${name}_${index}":${json}`;
    for (const { name } of unit.variables) {
      const value = given.has(name) ? undefined : variable(name);
      given.add(name);
      if (value !== undefined) values += `,${JSON.stringify(name)}:${value}`;
    }
  });
  return `${head},"variables":{${values}}}`;
}

/** `query($_r0:[_Any!]!,$_r1:[_Any!]!){_e0:_entities(representations:$_r0){…}_e1:_entities(representations:$_r1){…}}` */
function mergedText(parts: readonly Part[]): string {
  const definitions = new Map<string, string>();
  let fields = '';
  parts.forEach(({ unit, context }, index) => {
    definitions.set(`_r${index}`, `$_r${index}:[_Any!]!`);
    let selection = unit.selection;
    for (const [name] of context ?? []) {
      // The name is the planner's and unique, so it stands nowhere else. The type is what the planner declared.
      selection = selection.replaceAll(new RegExp(`\\$${name}\\b`, 'g'), `$${name}_${index}`);
      definitions.set(`${name}_${index}`, unit.contextDefinitions.get(name)!.replace(`$${name}`, `$${name}_${index}`));
    }
    for (const { name, definition } of unit.variables) definitions.set(name, definition);
    fields += `_e${index}:_entities(representations:$_r${index})${selection}`;
  });
  return `query(${[...definitions.values()].join(',')}){${fields}}`;
}

/** At most so many at once; the others wait for their turn. */
class Line {
  readonly #max: number;
  readonly #waiting: (() => void)[] = [];
  #inside = 0;

  constructor(max: number) {
    this.#max = max;
  }

  async enter<T>(work: () => Promise<T>): Promise<T> {
    if (this.#inside >= this.#max) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#inside += 1;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#inside -= 1;
    }
  }
}
