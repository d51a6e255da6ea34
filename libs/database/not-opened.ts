import { messageOf } from './trouble.js';

/** A database that cannot be opened: says which, why, and which setting to look at. Never shows a user name or a password. */
export class DatabaseNotOpened extends Error {
  override readonly name = 'DatabaseNotOpened';
  readonly #what: string;

  constructor(what: string, variable: string, options: { cause: unknown }) {
    super(
      `${what} cannot be opened: ${messageOf(options.cause)}. See that the server runs and lets us in, or correct ${variable}.`,
      options,
    );
    this.#what = what;
  }

  /** The same where the address came from another setting. */
  from(variable: string): DatabaseNotOpened {
    return new DatabaseNotOpened(this.#what, variable, { cause: this.cause });
  }
}
