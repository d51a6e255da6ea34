/**
 * What a document costs that nobody had sent before, in the unit of an operation's cost (cost.ts): to be parsed and validated, then to be
 * normalised, planned, checked and compiled. A client that sends another text each time would otherwise pay 1 for 60 ms of work, and keep a
 * core busy well inside of its budget.
 *
 * One unit is 0.1 ms of CPU, so what is spent on nothing else is a tenth of a core for 60,000 a minute. Measured on Node 20 beside other
 * work, gateway and planner together: a mutation of 25 tokens 2.5 ms, the profile page (92 tokens, 36 fields) 5 ms; of what is made to be
 * dear, each within the limits, 480 fields in a fragment that is spread twice 63 ms, 400 root fields of one name 91 ms (two thirds of it the
 * pairs that could be in conflict), 150 fragments one within another 62 ms. What grows with the square is bounded by the limits, so
 * a straight line by tokens and fields will do: it is above the first two by less than a half, and within a tenth of the last three.
 */
export interface Reading {
  /** To parse and validate it. */
  readonly read: number;
  /** To normalise and plan an operation in it, as often as an engine has to (RequestContext.willPlan). */
  readonly plan: number;
}

/** `fields`: of the largest operation or fragment, with fragments in their places (limits.ts has counted them). */
export function readingCost(tokens: number, fields: number): Reading {
  const byLength = (tokens + fields) / 5;
  return { read: Math.ceil(5 + byLength), plan: Math.ceil(15 + byLength) };
}

/** A body of so many bytes is parsed for what any request costs: texts of operations have a few hundred to 2,000. */
const BODY_BYTES = 4_000;

/**
 * What it costs to parse a body of so many bytes, inflated: a unit for each kB beyond what an ordinary one has. `again`: it may have numbers
 * that are kept to the digit, and is parsed a second time (run/exact-numbers.ts).
 *
 * Measured on Node 20, of 256 KiB under a name that nobody asks for: one text 0.3 ms, numbers 2 ms, empty lists and objects 3 ms, objects
 * with a name of their own each 24 ms, and 45 ms where that is done twice. On the wire each of them is 1 to 100 kB of gzip.
 */
export function bodyCost(bytes: number, again: boolean): number {
  return Math.max(0, Math.ceil((bytes - BODY_BYTES) / 1_000)) * (again ? 2 : 1);
}
