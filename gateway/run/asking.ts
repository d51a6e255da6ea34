import type { CompiledEntities, Unit } from './compile.js';
import type { Json, JsonObject } from './json.js';
import { missing, type TypeRepresenter } from './representation.js';
import type { Part } from './requests.js';

/**
 * Gathers the entities that a unit asks about, each representation once, however many places wait for it. Most entities are
 * told apart by one plain key, so whole texts are compared only where that key is equal and something else is not, or where
 * the key is not plain: with ten thousand entities the map of texts was 12 % of all time, and made garbage as long as the answer.
 */
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
    const { plainKeys } = representer;
    if (!plainKeys) return this.#addByText(representer, entity, group);
    const key = entity[plainKeys[0]!];
    if (typeof key !== 'string' && typeof key !== 'number') return this.#addByText(representer, entity, group);
    let known = this.#byKey.get(representer);
    if (!known) {
      known = new Map();
      this.#byKey.set(representer, known);
    }
    const index = known.get(key);
    if (index === undefined) {
      const text = this.#textOf(representer, entity);
      if (text === undefined) return;
      known.set(key, this.part.representations.length);
      this.#ask(text, entity, group);
    } else if (this.#equal(plainKeys, entity, this.part.targets[index]![0]!)) {
      this.#wait(index, entity, group);
    } else {
      this.#byText.set(this.part.representations[index]!, index);
      this.#addByText(representer, entity, group);
    }
  }

  #equal(keys: readonly string[], one: JsonObject, other: JsonObject): boolean {
    for (let i = 1; i < keys.length; i += 1) {
      const value = one[keys[i]!];
      if (value !== other[keys[i]!] || value === undefined || (typeof value === 'object' && value !== null))
        return false;
    }
    return true;
  }

  #addByText(representer: TypeRepresenter, entity: JsonObject, group: number): void {
    const text = this.#textOf(representer, entity);
    if (text === undefined) return;
    const index = this.#byText.get(text);
    if (index !== undefined) {
      this.#wait(index, entity, group);
      return;
    }
    this.#byText.set(text, this.part.representations.length);
    this.#ask(text, entity, group);
  }

  #textOf(representer: TypeRepresenter, entity: JsonObject): string | undefined {
    const text = representer.write(entity);
    if (text !== missing) return text;
    const gone = this.#gone.get(entity);
    if (gone) gone.push(...this.part.unit.topKeys);
    else this.starved = true;
    return undefined;
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
