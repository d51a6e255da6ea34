/** Names in lower case; of what came several times all. */
export type Head = Readonly<Record<string, string | string[] | undefined>>;

/**
 * Reads those headers of an answer that somebody asks about, and only those: most servers send ten, and of most answers three
 * are looked at. A name that has another length than all of them is not even made a text.
 */
export class Heed {
  readonly #names: ReadonlySet<string>;
  readonly #lengths: ReadonlySet<number>;

  constructor(...names: (readonly string[])[]) {
    this.#names = new Set(names.flat());
    this.#lengths = new Set(Array.from(this.#names, ({ length }) => length));
  }

  /** `raw`: name, value, name, value … */
  read(raw: readonly Buffer[]): Head {
    const head: Record<string, string | string[] | undefined> = {};
    for (let i = 0; i + 1 < raw.length; i += 2) {
      if (!this.#lengths.has(raw[i]!.length)) continue;
      const name = raw[i]!.toString('latin1').toLowerCase();
      if (!this.#names.has(name)) continue;
      const value = raw[i + 1]!.toString('latin1');
      const before = head[name];
      if (before === undefined) head[name] = value;
      else if (typeof before === 'string') head[name] = [before, value];
      else before.push(value);
    }
    return head;
  }
}
