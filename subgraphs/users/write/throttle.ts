import { Failure } from '#libs/failure';
import type { Borrowed, Budget, Budgets } from '#libs/rate-limit';

/** Of a try that was counted and then failed before the password was tried: gives it back, and throws what it failed of. */
type Untried = (error: unknown) => Promise<never>;

const MINUTE_S = 60;
const HOUR_S = 3_600;
const DAY_S = 86_400;
/** Somebody who tries many handles with few passwords, and a handle that many addresses try, have so many times as much. */
const SPRAY = 5;
const CROWD = 10;

/**
 * How often passwords may be tried. Counted before anything is looked up, by what was asked and not by what is there: a handle that
 * nobody has is counted, answered and refused like one that somebody has, so being refused tells nothing either. Counted is
 * each handle from each client, so that nobody is kept out by a stranger who guesses at their password; each client over all
 * handles; and each handle over all clients, against those who have many. A try that one of the first two refuses is no try for
 * the third: else one client that goes on after it was refused would keep everybody out. Who is refused a hash for want of time has
 * tried nothing and is given the try back, after the refusal: of all that are counted never more are hashed than may be.
 */
export class Throttle {
  readonly #guess: Budget;
  readonly #spray: Budget;
  readonly #crowd: Budget;
  readonly #person: Budget;
  readonly #signUp: Budget;
  readonly #rename: Budget;

  constructor(
    budgets: Budgets,
    {
      logInTries,
      signUpsPerHour,
      renamesPerDay,
    }: { readonly logInTries: number; readonly signUpsPerHour: number; readonly renamesPerDay: number },
  ) {
    const tries = (name: string, points: number) => budgets.of({ name: `log-in-${name}`, points, windowS: MINUTE_S });
    this.#guess = tries('guess', logInTries);
    this.#spray = tries('client', logInTries * SPRAY);
    this.#crowd = tries('handle', logInTries * CROWD);
    this.#person = tries('person', logInTries);
    this.#signUp = budgets.of({ name: 'sign-up', points: signUpsPerHour, windowS: HOUR_S });
    this.#rename = budgets.of({ name: 'rename', points: renamesPerDay, windowS: DAY_S });
  }

  /** `client` is undefined where no gateway tells it. Throws RATE_LIMITED. */
  async logIn(handle: string, client: string | undefined): Promise<Untried> {
    const own = await refuseAfter([
      this.#guess.borrow(`${handle} ${client ?? ''}`),
      ...(client === undefined ? [] : [this.#spray.borrow(client)]),
    ]);
    return untried([...own, ...(await refuseAfter([this.#crowd.borrow(handle)]))]);
  }

  /** Whoever knew the password was not guessing. */
  async loggedIn(handle: string, client: string | undefined): Promise<void> {
    await this.#guess.forget(`${handle} ${client ?? ''}`);
  }

  /** Of somebody who is logged in and has to say the password again. */
  async password(viewer: string): Promise<Untried> {
    return untried(await refuseAfter([this.#person.borrow(viewer)]));
  }

  async signUp(client: string | undefined): Promise<Untried> {
    return untried(client === undefined ? [] : await refuseAfter([this.#signUp.borrow(client)]));
  }

  /** Of somebody who wants another handle. All that they had stay theirs, so without this one person could take every short one. */
  async rename(viewer: string): Promise<void> {
    await refuseAfter([this.#rename.borrow(viewer)], 'Too many new handles today');
  }
}

async function refuseAfter(borrows: readonly Promise<Borrowed>[], why = 'Too many tries'): Promise<Borrowed[]> {
  const borrowed = await Promise.all(borrows);
  const waitMs = Math.max(...borrowed.map((one) => one.waitMs));
  if (waitMs <= 0) return borrowed;
  const retryAfterS = Math.ceil(waitMs / 1_000);
  throw new Failure('RATE_LIMITED', `${why}; wait ${retryAfterS} s.`, { retryAfterS });
}

function untried(borrowed: readonly Borrowed[]): Untried {
  return async (error) => {
    await Promise.all(borrowed.map((one) => one.giveBack()));
    throw error;
  };
}
