/** Which fields the fetches so far have asked for: at each place, of each type, under each key. */
export class Brought {
  readonly #asked = new Map<string, Asked>();
  readonly #byKey = new Map<string, Asked[]>();

  /** `asked`: the field with its arguments. */
  note(place: string, type: string, key: string, asked: string): void {
    const name = `${place}@${type}.${key}`;
    const known = this.#asked.get(name);
    if (known) {
      known.fields.add(asked);
      return;
    }
    const first: Asked = { place, type, key, fields: new Set([asked]) };
    this.#asked.set(name, first);
    const at = `${place}@${key}`;
    const there = this.#byKey.get(at);
    if (there) there.push(first);
    else this.#byKey.set(at, [first]);
  }

  fields(place: string, type: string, key: string): ReadonlySet<string> | undefined {
    return this.#asked.get(`${place}@${type}.${key}`)?.fields;
  }

  /** From then on it is known under its new key, for whatever type the old one was. */
  rename(place: string, from: string, to: string): void {
    for (const { type, fields } of this.#byKey.get(`${place}@${from}`) ?? [])
      for (const one of fields) this.note(place, type, to, one);
  }

  all(): Iterable<Asked> {
    return this.#asked.values();
  }
}

interface Asked {
  readonly place: string;
  readonly type: string;
  readonly key: string;
  readonly fields: Set<string>;
}
