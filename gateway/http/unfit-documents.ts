import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from '#libs/telemetry';
import type { Documents } from './documents.js';
import type { PersistedDocuments } from './persisted-documents.js';

/** So many are named; a front end of another schema has hundreds. */
const NAMED_MAX = 20;

/**
 * Registered documents that cannot run, for they do not parse, do not fit the schema or are beyond a limit: whoever asks for one is told, but whoever has deployed
 * it asks for none. Each set of documents is looked at once on each schema, one document in a turn of the event loop.
 */
export class UnfitDocuments {
  readonly #persisted: Pick<PersistedDocuments, 'all'>;
  readonly #logger: Logger;
  #looked: { readonly all: ReadonlyMap<string, string>; readonly on: Documents } | undefined;

  constructor(persisted: Pick<PersistedDocuments, 'all'>, logger: Logger) {
    this.#persisted = persisted;
    this.#logger = logger;
  }

  /** Resolves when they are looked at, or there is a newer set or schema. Undefined: there is no schema yet. */
  async look(on: Documents | undefined): Promise<void> {
    const { all } = this.#persisted;
    if (on === undefined || (all === this.#looked?.all && on === this.#looked.on)) return;
    const looked = (this.#looked = { all, on });
    const ids: string[] = [];
    let error = '';
    for (const [id, text] of all) {
      await nextTurn();
      if (looked !== this.#looked) return;
      const why = whyNot(on, text);
      if (why === undefined) continue;
      if (ids.length === 0) error = why;
      ids.push(id);
    }
    if (ids.length === 0) return;
    const fields = { unfit: ids.length, documents: all.size, ids: ids.slice(0, NAMED_MAX) };
    this.#logger.warn(fields, `A document of PERSISTED_DOCUMENTS cannot run, ${ids[0]!.slice(0, 80)}: ${error}`);
  }

  close(): void {
    this.#looked = undefined;
  }
}

function whyNot(documents: Documents, text: string): string | undefined {
  try {
    const refusal = documents.whyNot(text);
    return refusal && (refusal.more.errors?.[0]?.message ?? refusal.message);
  } catch (error) {
    // What nobody has thought of is told to whoever asks for it, and ends no gateway here.
    return String(error);
  }
}
