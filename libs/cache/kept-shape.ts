/** What a field of a kept value may be; with `?` also null. */
type Kind = 'string' | 'number' | 'boolean' | 'string?';

/** For `is` of an aside: an object that has at least these fields, each of its kind. Whoever adds a field adds it here. */
export function objectOf<V extends object>(fields: { readonly [Name in keyof V]: Kind }): (value: unknown) => boolean {
  const kinds = Object.entries<Kind>(fields);
  return (value) =>
    typeof value === 'object' &&
    value !== null &&
    kinds.every(([name, kind]) => {
      const field = (value as Record<string, unknown>)[name];
      return kind === 'string?' ? field === null || typeof field === 'string' : typeof field === kind;
    });
}

/** A list of texts. */
export function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
