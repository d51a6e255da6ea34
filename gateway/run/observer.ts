import type { CompiledFetch, CompiledRoot } from './compile.js';
import type { Outgoing } from './requests.js';
import type { Send } from './run.js';

/** Somebody who asked how one run went. Almost never there, and then `Run` allocates nothing for it. */
export interface Observer {
  /** Everything that the fetch waited for has ended. */
  ready(fetch: CompiledFetch): void;
  /** The way to a subgraph, for one root fetch or for the entity fetches that travel together. */
  sending(send: Send, what: CompiledRoot | Outgoing): Send;
  /** One entity, or root field, of which all was kept: no subgraph was asked about it. */
  kept(fetch: CompiledFetch): void;
  /** What came was put into the answer, or will never come. */
  ended(fetch: CompiledFetch): void;
}
