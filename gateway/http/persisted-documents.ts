import { readFileSync, statSync } from 'node:fs';
import { SettingsError, whyUnread } from '#libs/settings';
import type { Logger } from '#libs/telemetry';
import { markOf } from '../file-mark.js';
import type { GraphqlRequest } from './read-request.js';
import { Refusal } from './refusal.js';

/** Text of the document that a request means, as it was registered where it was; throws a Refusal when it means none that may run. */
export type DocumentText = (asked: GraphqlRequest) => string;

/** Without PERSISTED_DOCUMENTS a request carries its text. */
export const textOnly: DocumentText = ({ query, documentId }) => {
  // Word for word what Apollo's clients look for before they send the whole text without it.
  if (documentId?.automatic) throw Refusal.of('PERSISTED_QUERY_NOT_SUPPORTED', 'PersistedQueryNotSupported');
  if (query !== undefined) return query;
  if (documentId !== undefined)
    throw Refusal.of('PERSISTED_QUERY_NOT_SUPPORTED', 'This gateway knows no documents by id; send query, the text.');
  throw noDocument();
};

const noDocument = (): Refusal => Refusal.of('BAD_REQUEST', 'query has to be a text: the GraphQL document.');

/** How often the file is looked at again. */
const LOOK_MS = 2_000;

/**
 * A front end's documents, known by id: requests are shorter, and with `safelist` nothing else runs. Which limits hold does
 * not depend on how a document came: the text goes the same way as one that was sent.
 *
 * The file is what `npm run documents` writes, which is Apollo's manifest (`format: apollo-persisted-query-manifest`), or
 * the `{ id: text }` that Relay's compiler writes. It is looked at again every 2 s; one that is gone or cannot be read leaves
 * the last good one, which is said once, and at the start ends it.
 */
export class PersistedDocuments {
  #file: string;
  #safelist: boolean;
  #logger: Logger;
  #changed: () => void;
  #byId = new Map<string, string>();
  #texts = new Set<string>();
  /** Without the white space around them. */
  #byCore = new Map<string, string>();
  #mark = '';
  #trouble: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `changed`: told after each load but the first. */
  constructor(
    file: string,
    rules: {
      readonly safelist: boolean;
      readonly logger: Logger;
      readonly lookMs?: number;
      readonly changed?: () => void;
    },
  ) {
    this.#file = file;
    this.#safelist = rules.safelist;
    this.#logger = rules.logger;
    this.#changed = rules.changed ?? (() => {});
    try {
      this.#take();
    } catch (error) {
      throw new SettingsError([noManifest(file, error)]);
    }
    this.#timer = setInterval(() => this.#look(), rules.lookMs ?? LOOK_MS).unref();
  }

  readonly textOf: DocumentText = (asked) => {
    const { query, documentId } = asked;
    if (documentId !== undefined) {
      if (documentId.id === undefined)
        throw Refusal.of(
          'BAD_REQUEST',
          'extensions.persistedQuery has to be {"version":1,"sha256Hash":"…"}; this is something else.',
        );
      const text = this.#byId.get(documentId.id);
      if (text !== undefined && query !== undefined && query !== text && query.trim() !== text.trim())
        throw Refusal.of(
          'BAD_REQUEST',
          'query is not the document that is registered under this id; send one of them.',
        );
      if (text !== undefined) return text;
      // The client then sends the text along, which runs unless only registered ones may.
      if (query === undefined)
        throw Refusal.of(
          'PERSISTED_QUERY_NOT_FOUND',
          documentId.automatic ? 'PersistedQueryNotFound' : 'No document is registered under this id.',
        );
    }
    if (query === undefined) throw noDocument();
    const text = this.#registered(query);
    if (this.#safelist && text === undefined)
      throw Refusal.of('FORBIDDEN', 'Only documents that were registered may run here; this one was not.');
    return text ?? query;
  };

  /**
   * The registered document that this text is, but for white space around it: an editor ends a file by a new line, a client that sends it
   * may not, and a template literal has two more. It is the registered text that runs. Nothing else is forgiven: what a document is to anybody who
   * reads it loosely would have to be read here before any limit holds.
   */
  #registered(query: string): string | undefined {
    return this.#texts.has(query) ? query : this.#byCore.get(query.trim());
  }

  readonly has = (text: string): boolean => this.#texts.has(text);

  /** Id to text; another map after each load. */
  get all(): ReadonlyMap<string, string> {
    return this.#byId;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Why the file as it is now does not hold, and the last good one does; with its path, so for the log alone. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    try {
      if (!this.#take()) return;
      this.#trouble = undefined;
      this.#logger.info({ documents: this.size }, 'The registered documents changed');
      this.#changed();
    } catch (error) {
      const trouble = String(error);
      if (trouble !== this.#trouble)
        this.#logger.error({ error: trouble }, 'The registered documents cannot be read; the last good ones stay');
      this.#trouble = trouble;
    }
  }

  /** False: they are those that were read. */
  #take(): boolean {
    const before = this.#mark;
    // What could not be read is read as soon as it can be.
    this.#mark = '';
    const mark = markOf(statSync(this.#file));
    if (mark !== before) {
      const text = readFileSync(this.#file, 'utf8');
      this.#mark = mark;
      this.#byId = readManifest(text);
      this.#texts = new Set(this.#byId.values());
      this.#byCore = new Map([...this.#texts].map((registered) => [registered.trim(), registered]));
      return true;
    }
    // Also when it is wrong: that is found out once, not at every look.
    this.#mark = before;
    return false;
  }
}

/** Why a gateway cannot start with this file; undefined: it can. */
export function whyNoManifest(file: string): string | undefined {
  try {
    readManifest(readFileSync(file, 'utf8'));
    return undefined;
  } catch (error) {
    return noManifest(file, error);
  }
}

function noManifest(file: string, error: unknown): string {
  const isUnread = (error as NodeJS.ErrnoException).syscall !== undefined;
  const why = isUnread ? `, ${whyUnread(error)}` : `: ${(error as Error).message}`;
  return `PERSISTED_DOCUMENTS has to be a file that \`npm run documents\` wrote; came ${file}${why}`;
}

/** Either format → id to text. Ids are without the prefix `sha256:`. */
export function readManifest(json: string): Map<string, string> {
  const manifest = JSON.parse(json) as unknown;
  const wrong = (what: string): Error =>
    new Error(
      `Registered documents are {"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id","body"}]} or {"id":"text"}; ${what}`,
    );
  if (typeof manifest !== 'object' || manifest === null || Array.isArray(manifest)) throw wrong('this is neither.');
  const { format, version, operations } = manifest as Record<string, unknown>;
  const pairs: [string, unknown][] =
    format === 'apollo-persisted-query-manifest' && version === 1 && Array.isArray(operations)
      ? (operations as { id?: unknown; body?: unknown }[]).map(({ id, body }) => [String(id), body])
      : Object.entries(manifest);
  const found = new Map<string, string>();
  for (const [id, text] of pairs) {
    if (typeof text !== 'string') throw wrong(`what stands under ${JSON.stringify(id.slice(0, 80))} is not a text.`);
    found.set(withoutPrefix(id), text);
  }
  return found;
}

export function withoutPrefix(id: string): string {
  return id.startsWith('sha256:') ? id.slice('sha256:'.length) : id;
}
