/**
 * One `T` for each request, made when it is first asked for and gone with the request's context. A loader that lived
 * longer would show one viewer what another may see, and what was true before the last write.
 */
export function perRequest<T extends object, C extends object = object>(make: (context: C) => T): (context: C) => T {
  const made = new WeakMap<C, T>();
  return (context) => {
    let one = made.get(context);
    if (one === undefined) {
      one = make(context);
      made.set(context, one);
    }
    return one;
  };
}
