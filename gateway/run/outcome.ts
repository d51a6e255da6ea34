import { Failure } from '#libs/failure';
import type { FieldError } from '../http/client-errors.js';
import type { SubgraphError } from './answer.js';
import type { JsonObject } from './json.js';

/** What came of a run: the data, not yet in the client's shape, and what went wrong. */
export interface Outcome {
  readonly data: JsonObject;
  readonly errors: readonly FieldError[];
  /** Errors beyond those: only their number is for the log. */
  readonly more: number;
  readonly losses: readonly Loss[];
  /** Entities that a subgraph answered null for, and what it was asked about each: those fields are null, which is no error. */
  readonly gone: Gone | undefined;
}

export type Gone = ReadonlyMap<JsonObject, readonly string[]>;

/** What a fetch should have brought and did not. Told to the client for every field that is missing because of it. */
export interface Loss {
  readonly subgraph: string;
  /** Keys on the way to the objects. */
  readonly keys: readonly string[];
  readonly topKeys: readonly string[];
  readonly code: unknown;
  readonly retryAfter?: unknown;
  readonly by: 'gateway' | 'subgraph';
  readonly message: string;
  readonly cause?: unknown;
  told: boolean;
}

/** More are not looked at: a client is shown 50, the log 10. */
export const ERRORS_KEPT = 200;

/** The same while it grows. */
export class GrowingOutcome implements Outcome {
  readonly data: JsonObject = {};
  readonly errors: FieldError[] = [];
  more = 0;
  readonly losses: Loss[] = [];
  gone: Map<JsonObject, string[]> | undefined;

  /** As a subgraph told it. */
  add(subgraph: string, error: SubgraphError, path: readonly (string | number)[]): void {
    if (this.isFull()) return;
    const { message, code, retryAfter } = error;
    this.errors.push({ message, path, code, retryAfter, by: 'subgraph', subgraph });
  }

  /** One more is only counted. */
  isFull(): boolean {
    if (this.errors.length < ERRORS_KEPT) return false;
    this.more += 1;
    return true;
  }

  /** It was asked, and nothing came. */
  failed(subgraph: string, keys: readonly string[], topKeys: readonly string[], error: unknown): void {
    const known = error instanceof Failure;
    this.losses.push({
      subgraph,
      keys,
      topKeys,
      code: known ? error.code : 'INTERNAL_SERVER_ERROR',
      retryAfter: known ? error.retryAfterS : undefined,
      by: 'gateway',
      message: String((error as Error).message),
      cause: known ? error.cause : error,
      told: false,
    });
  }

  /** It answered, and this is not in it; why, as it says itself, or as we do. */
  lacking(
    subgraph: string,
    keys: readonly string[],
    topKeys: readonly string[],
    error: SubgraphError | string | undefined,
  ): void {
    const loss =
      typeof error === 'object'
        ? { code: error.code, retryAfter: error.retryAfter, by: 'subgraph' as const, message: error.message }
        : {
            code: 'SUBGRAPH_BAD_RESPONSE',
            by: 'gateway' as const,
            message: error ?? `${subgraph} answered neither data nor errors.`,
          };
    this.losses.push({ subgraph, keys, topKeys, ...loss, told: false });
  }

  /** Nothing failed here, but something before did: these fields are lost for the same reason. */
  starved(subgraph: string, keys: readonly string[], topKeys: readonly string[]): void {
    const [cause] = this.losses;
    if (cause) this.losses.push({ ...cause, subgraph, keys, topKeys, told: true });
  }
}
