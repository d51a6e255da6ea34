import { Failure } from '#libs/failure';
import type { Budget, Budgets } from '#libs/rate-limit';

const MINUTE_S = 60;
const HOUR_S = 3_600;
/** Somebody who tries many handles with few passwords, and a handle that many addresses try, have so many times as much. */
const SPRAY = 5;
const CROWD = 10;

/**
 * How often passwords may be tried. Counted before anything is looked up, by what was asked and not by what is there: a handle that
 * nobody has is counted, answered and refused like one that somebody has, so being refused tells nothing either. Counted is
 * each handle from each client, so that nobody is kept out by a stranger who guesses at their password; each client over all
 * handles; and each handle over all clients, against those who have many.
 */
export class Throttle {
  readonly #guess: Budget;
  readonly #spray: Budget;
  readonly #crowd: Budget;
  readonly #person: Budget;
  readonly #signUp: Budget;

  constructor(
    budgets: Budgets,
    { logInTries, signUpsPerHour }: { readonly logInTries: number; readonly signUpsPerHour: number },
  ) {
    const tries = (name: string, points: number) => budgets.of({ name: `log-in-${name}`, points, windowS: MINUTE_S });
    this.#guess = tries('guess', logInTries);
    this.#spray = tries('client', logInTries * SPRAY);
    this.#crowd = tries('handle', logInTries * CROWD);
    this.#person = tries('person', logInTries);
    this.#signUp = budgets.of({ name: 'sign-up', points: signUpsPerHour, windowS: HOUR_S });
  }

  /** `client` is undefined where no gateway tells it. Throws RATE_LIMITED. */
  async logIn(handle: string, client: string | undefined): Promise<void> {
    await refuseAfter([
      this.#crowd.take(handle),
      this.#guess.take(`${handle} ${client ?? ''}`),
      ...(client === undefined ? [] : [this.#spray.take(client)]),
    ]);
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
}

async function refuseAfter(takes: readonly Promise<number>[]): Promise<void> {
  const waitMs = Math.max(...(await Promise.all(takes)));
  if (waitMs > 0) throw new Failure('RATE_LIMITED', `Too many tries; wait ${Math.ceil(waitMs / 1_000)} s.`);
}
