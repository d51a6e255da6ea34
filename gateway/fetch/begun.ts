import type { Endpoint } from './endpoint.js';
import type { Target } from './upstream.js';

/** The lot of what is asked for nobody: it is let in where all are. */
export const LAST = 1;

/**
 * Where one request has been let in. What it asks there later is not turned away: of a query of which only the first steps are
 * answered nobody has anything, and what they cost is lost. So of too many queries some are answered whole, and the others have begun nothing.
 */
export class Begun {
  /**
   * Drawn once, 0 to 1. Who has less of it is let in before who has more, wherever that is: where several subgraphs are crowded and each drew
   * for itself, a query that needs them all would be let in by all of them hardly ever (Zhou et al., "Overload Control for Scaling WeChat
   * Microservices", 2018: "subsequent overload").
   */
  readonly #lot: number;
  readonly #isMutation: boolean;
  readonly #begins: (waits: boolean) => void;
  readonly #at: Endpoint[] = [];
  #hasWritten = false;
  #isTurnedAway = false;

  /** `begins`: told when it is let in for the first time, and whether others wait there. */
  constructor(isMutation: boolean, begins: (waits: boolean) => void = () => {}, lot = Math.random()) {
    this.#isMutation = isMutation;
    this.#begins = begins;
    this.#lot = lot;
  }

  /**
   * Who has been turned away somewhere will not be whole, and comes last everywhere else. It is counted there all the same, since its lot is one of
   * those of which a share is let in; in a model of two services it made little difference (85 whole a second either way where both bear as
   * much, 16 and 19 where one bears a tenth).
   */
  get lot(): number {
    return this.#isTurnedAway ? LAST : this.#lot;
  }

  /** What a cache loads anew behind an answer: for it no lot was drawn, so it is none of those of whom a share is let in. */
  get isForNobody(): boolean {
    return this.#lot === LAST;
  }

  /** It was let in nowhere; of a mutation: nothing was done, as it may have been let in where nobody could be reached. */
  get nothing(): boolean {
    return this.#isMutation ? !this.#hasWritten : this.#at.length === 0;
  }

  /** Was it let in at one of these, which answer the same? What has been written is shown wherever that is: a mutation is let in everywhere then. */
  passes(targets: readonly Target[]): boolean {
    return this.shows || targets.some(({ endpoint }) => this.#at.includes(endpoint));
  }

  /** Something has been written, and what is asked now is to show it. */
  get shows(): boolean {
    return this.#isMutation && !this.nothing;
  }

  /** A mutation whose first field was turned away does not do its second one: it is refused as a whole, and may be sent again as it is. */
  get isOver(): boolean {
    return this.#isMutation && this.#isTurnedAway && this.nothing;
  }

  /** It was sent to somebody who may have done it. */
  hasWritten(): void {
    this.#hasWritten = true;
  }

  turnedAway(): void {
    this.#isTurnedAway = true;
  }

  /** It has been let in there. */
  add(endpoint: Endpoint): void {
    if (this.#at.includes(endpoint)) return;
    if (this.#at.length === 0) this.#begins(endpoint.waiting > 0);
    this.#at.push(endpoint);
  }

  /** May it be let in where the other one was not? */
  comesBefore(other: Begun): boolean {
    return this.lot < other.#lot || this.#at.some((endpoint) => !other.#at.includes(endpoint));
  }

  /** A call of another one was for this one as well, which may from now on ask where that one has been let in. */
  join(other: Begun): void {
    for (const endpoint of other.#at) this.add(endpoint);
  }
}
