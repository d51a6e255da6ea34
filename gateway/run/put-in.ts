import type { SubgraphAnswer, SubgraphError } from './answer.js';
import type { CompiledRoot, Unit } from './compile.js';
import { isObject, kindOf, type JsonObject } from './json.js';
import { merge } from './merge.js';
import type { GrowingOutcome } from './outcome.js';
import type { Part } from './requests.js';
import type { TypeFamilies } from './types.js';

/** Puts what subgraphs answer where it belongs, and notes what is not there or went wrong. */
export class PutIn {
  readonly #outcome: GrowingOutcome;
  readonly #families: TypeFamilies;
  /** The client's operation is one. */
  readonly #mutation: boolean;

  constructor(outcome: GrowingOutcome, families: TypeFamilies, mutation: boolean) {
    this.#outcome = outcome;
    this.#families = families;
    this.#mutation = mutation;
  }

  get gone(): Map<JsonObject, string[]> {
    return (this.#outcome.gone ??= new Map());
  }

  /** `due`: keys that have to be there; null is there. */
  root(fetch: CompiledRoot, targets: readonly JsonObject[], answer: SubgraphAnswer, due: readonly string[] = []): void {
    const { subgraph, locator, topKeys } = fetch;
    if (answer.data) {
      // Where null is allowed nobody would know that it was never said: a mutation, say, that answers nothing of what it did.
      const absent = due.filter((key) => !Object.hasOwn(answer.data!, key) && !isTold(key, answer.errors));
      if (absent.length > 0)
        this.#outcome.lacking(subgraph, locator.keys, absent, `${subgraph} answered without ${absent.join(', ')}.`);
      fetch.rewrite?.(answer.data);
      targets.forEach((target, index) =>
        merge(target, index === 0 ? answer.data! : structuredClone(answer.data!), this.#families.abstract),
      );
    } else {
      this.#outcome.lacking(subgraph, locator.keys, topKeys, answer.errors[0]);
    }
    for (const error of answer.errors) {
      // Without data and without a path it is told by every field that is missing because of it.
      if (!answer.data && !error.path) continue;
      const path = [...locator.keys, ...(error.path ?? [])];
      if (fetch.mutation) this.#outcome.add(subgraph, error, path);
      else this.#addRead(subgraph, error, path);
    }
  }

  entity(part: Part, index: number, entity: JsonObject | null): void {
    const targets = part.targets[index]!;
    if (entity) {
      part.unit.rewrite?.(entity);
      this.#mergeEntity(entity, targets, part.groups?.[index]);
    } else {
      const { gone } = this;
      for (const target of targets) gone.set(target, [...(gone.get(target) ?? []), ...part.unit.topKeys]);
    }
  }

  entities(part: Part, alias: string, offset: number, count: number, answer: SubgraphAnswer): void {
    const { unit, fetch } = part;
    const errors = answer.errors.filter(
      (error) => error.path?.[0] === alias || (error.path === undefined && answer.data === null),
    );
    const entities = answer.data?.[alias];
    if (!Array.isArray(entities) || entities.length !== count) {
      const told = errors[0] ?? answer.errors[0];
      this.#lacking(
        part,
        told ??
          `${fetch.subgraph} was asked for ${count} entities and answered ${Array.isArray(entities) ? entities.length : kindOf(entities)}.`,
      );
      return;
    }
    const lost = new Map<number, SubgraphError | undefined>();
    for (const error of errors) {
      const index = error.path?.[1];
      if (typeof index === 'number' && entities[index] === null && error.path!.length === 2) lost.set(index, error);
    }
    // An error of which nobody can say whose it is may be why any of them is null: that one is then not gone.
    const stray = answer.errors.find(({ path }) => isStray(path, alias, answer.data!));
    for (let i = 0; i < count; i += 1) {
      const entity = entities[i];
      if (isObject(entity) || (entity === null && !lost.has(i) && !stray)) this.entity(part, offset + i, entity);
      else
        this.#lacking(
          part,
          lost.get(i) ?? stray ?? `${fetch.subgraph} answered ${kindOf(entity)} where an entity was due.`,
        );
    }
    for (const error of errors) this.#entityError(part, offset, lost, error);
    for (const error of answer.errors) {
      if (isStray(error.path, alias, answer.data!))
        this.#addRead(fetch.subgraph, error, [...this.#firstPath(unit), ...unit.topKeys.slice(0, 1)]);
    }
  }

  /** At the end: before, a null key would have been asked about. */
  end(): void {
    const { losses, gone } = this.#outcome;
    if (losses.length === 0 || !gone) return;
    for (const [entity, keys] of gone)
      merge(entity, Object.fromEntries(keys.map((key) => [key, null])), this.#families.abstract);
  }

  #mergeEntity(entity: JsonObject, targets: readonly JsonObject[], groups: readonly number[] | undefined): void {
    if (!groups) {
      // At one path equal entities have equal needs, so they may have their fields' values in common.
      for (const target of targets) merge(target, entity, this.#families.abstract);
      return;
    }
    const originals = new Map<number, JsonObject>([[groups[0]!, entity]]);
    const copies = groups.map(
      (group) => originals.get(group) ?? originals.set(group, structuredClone(entity)).get(group)!,
    );
    targets.forEach((target, index) => merge(target, copies[index]!, this.#families.abstract));
  }

  #entityError(part: Part, offset: number, lost: ReadonlyMap<number, unknown>, error: SubgraphError): void {
    const [, index, ...rest] = error.path ?? [];
    if (typeof index !== 'number' || lost.has(index) || this.#outcome.isFull()) return;
    const targets = new Set(part.targets[offset + index]);
    for (const locator of part.unit.locators) {
      for (const { object, path } of locator.findPaths(this.#outcome.data)) {
        if (targets.has(object)) this.#addRead(part.fetch.subgraph, error, [...path, ...rest]);
      }
    }
  }

  #lacking({ fetch, unit }: Part, error: SubgraphError | string): void {
    for (const { keys } of unit.locators) this.#outcome.lacking(fetch.subgraph, keys, unit.topKeys, error);
  }

  /** Of what is read. What a mutation's field answers is read when that is done: at its own path, another code would send its client to do it again. */
  #addRead(subgraph: string, error: SubgraphError, path: readonly (string | number)[]): void {
    const isDone = this.#mutation && path.length < 2;
    this.#outcome.add(subgraph, isDone ? { ...error, code: 'DONE_NOT_SHOWN' } : error, path);
  }

  #firstPath({ locators }: Unit): (string | number)[] {
    for (const locator of locators) {
      const [found] = locator.findPaths(this.#outcome.data);
      if (found) return found.path;
    }
    return [];
  }
}

/** Is there an error about this key, or one about nobody knows what? */
function isTold(key: string, errors: readonly SubgraphError[]): boolean {
  return errors.some(({ path }) => path === undefined || path[0] === key);
}

/** It names no entity of this alias, and no other alias either. */
function isStray(path: SubgraphError['path'], alias: string, data: JsonObject): boolean {
  const [first, index] = path ?? [];
  if (first === alias) return typeof index !== 'number';
  return typeof first !== 'string' || !Object.hasOwn(data, first);
}
