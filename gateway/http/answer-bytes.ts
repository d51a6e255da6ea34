import type { FieldError } from './client-errors.js';

/** As long as an answer may be unless ANSWER_BYTES says otherwise. */
export const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Fields below a list are written once for each of its items, though a subgraph told each value once: thirty aliases of a text of 2,560
 * bytes at ten thousand places are 768 MB, inside every limit that is known before an operation runs.
 */
export class AnswerTooLong extends Error {
  override readonly name = 'AnswerTooLong';

  constructor(bytesMax: number) {
    super(`The answer would have more than ${bytesMax.toLocaleString('en-US')} bytes; ask for less at once.`);
  }

  /** As a client is told it, with the data null. */
  at(rootKey: string | undefined): FieldError {
    return {
      message: this.message,
      path: rootKey === undefined ? [] : [rootKey],
      code: 'ANSWER_TOO_LONG',
      by: 'gateway',
    };
  }
}
