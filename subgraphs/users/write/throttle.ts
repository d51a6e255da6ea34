import { Failure } from '#libs/failure';
import type { Budget, Budgets } from '#libs/rate-limit';

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
 * the third: else one client that goes on after it was refused would keep everybody out.
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
  async logIn(handle: string, client: string | undefined): Promise<void> {
    await refuseAfter([
      this.#guess.take(`${handle} ${client ?? ''}`),
      ...(client === undefined ? [] : [this.#spray.take(client)]),
    ]);
    await refuseAfter([this.#crowd.take(handle)]);
  }

  /** Whoever knew the password was not guessing. */
  async loggedIn(handle: string, client: string | undefined): Promise<void> {
    await this.#guess.forget(`${handle} ${client ?? ''}`);
  }

  /** Of somebody who is logged in and has to say the password again. */
  async password(viewer: string): Promise<void> {
    await refuseAfter([this.#person.take(viewer)]);
  }

  async signUp(client: string | undefined): Promise<void> {
    if (client !== undefined) await refuseAfter([this.#signUp.take(client)]);
  }

  /** Of somebody who wants another handle. All that they had stay theirs, so without this one person could take every short one. */
  async rename(viewer: string): Promise<void> {
    await refuseAfter([this.#rename.take(viewer)], 'Too many new handles today');
  }
}

async function refuseAfter(takes: readonly Promise<number>[], why = 'Too many tries'): Promise<void> {
  const waitMs = Math.max(...(await Promise.all(takes)));
  if (waitMs <= 0) return;
  const retryAfterS = Math.ceil(waitMs / 1_000);
  throw new Failure('RATE_LIMITED', `${why}; wait ${retryAfterS} s.`, { retryAfterS });
}
