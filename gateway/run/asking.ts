import type { CompiledEntities, Unit } from './compile.js';
import type { Json, JsonObject } from './json.js';
import { missing, type TypeRepresenter } from './representation.js';
import type { Part } from './requests.js';

/** Gathers the entities that a unit asks about, each representation once, however many places wait for it. */
export class Asking {
  readonly part: Part;
  /** Some entity cannot be asked about, because something that its representation needs never came. */
  starved = false;
  readonly #gone: ReadonlyMap<JsonObject, string[]>;
  readonly #byText = new Map<string, number>();
  readonly #byKey = new Map<TypeRepresenter, Map<Json, number>>();

  constructor(fetch: CompiledEntities, unit: Unit, context: Part['context'], gone: ReadonlyMap<JsonObject, string[]>) {
    this.part = { fetch, unit, representations: [], targets: [], groups: unit.shared ? undefined : [], context };
    this.#gone = gone;
  }

  add(entity: JsonObject, group: number): void {
    const representer = this.part.unit.represent.of(entity);
    if (representer.none) return;
    const key = representer.onlyKey === undefined ? undefined : entity[representer.onlyKey];
    if (typeof key === 'string' || typeof key === 'number') this.#addByKey(representer, key, entity, group);
    else this.#addByText(representer, entity, group);
  }

  #addByKey(representer: TypeRepresenter, key: Json, entity: JsonObject, group: number): void {
    let known = this.#byKey.get(representer);
    if (!known) {
      known = new Map();
      this.#byKey.set(representer, known);
    }
    const index = known.get(key);
    if (index !== undefined) {
      this.#wait(index, entity, group);
      return;
    }
    known.set(key, this.part.representations.length);
    this.#ask(representer.write(entity) as string, entity, group);
  }

  #addByText(representer: TypeRepresenter, entity: JsonObject, group: number): void {
    const text = representer.write(entity);
    if (text === missing) {
      const gone = this.#gone.get(entity);
      if (gone) gone.push(...this.part.unit.topKeys);
      else this.starved = true;
      return;
    }
    const index = this.#byText.get(text);
    if (index !== undefined) {
      this.#wait(index, entity, group);
      return;
    }
    this.#byText.set(text, this.part.representations.length);
    this.#ask(text, entity, group);
  }

  #ask(text: string, entity: JsonObject, group: number): void {
    this.part.representations.push(text);
    this.part.targets.push([entity]);
    this.part.groups?.push([group]);
  }

  #wait(index: number, entity: JsonObject, group: number): void {
    this.part.targets[index]!.push(entity);
    this.part.groups?.[index]!.push(group);
  }
}
