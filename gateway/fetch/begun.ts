import type { Endpoint } from './endpoint.js';
import type { Target } from './upstream.js';

/**
 * Where one request has been let in. What it asks there later is not turned away: of a query of which only the first steps are
 * answered nobody has anything, and what they cost is lost. So of too many queries some are answered whole, and the others have begun nothing.
 */
export class Begun {
  readonly #at: Endpoint[] = [];
  readonly #isMutation: boolean;

  constructor(isMutation: boolean) {
    this.#isMutation = isMutation;
  }

  get nothing(): boolean {
    return this.#at.length === 0;
  }

  /** Was it let in at one of these, which answer the same? What has been written is shown wherever that is: a mutation is let in everywhere then. */
  at(targets: readonly Target[]): boolean {
    if (this.nothing) return false;
    return this.#isMutation || targets.some(({ endpoint }) => this.#at.includes(endpoint));
  }

  add(endpoint: Endpoint): void {
    this.#at.push(endpoint);
  }
}
