/** JSON that was kept somewhere → its value; undefined when it is no JSON or names `__proto__`. */
export function parseKept(text: string): unknown {
  try {
    // A reviver makes parsing five times slower, so it is for texts that could hold the name, escaped or not.
    return /__proto__|\\u/.test(text) ? JSON.parse(text, refuseProto) : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** As JSON.parse leaves it, `__proto__` is harmless until somebody merges the object into another. */
function refuseProto(name: string, value: unknown): unknown {
  if (name === '__proto__') throw new SyntaxError('a kept value names __proto__');
  return value;
}
