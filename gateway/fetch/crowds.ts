import { Outage, type Logger } from '#libs/telemetry';
import { turnedAwayBy } from './letting-in.js';

/** As long after the last who was turned away, nobody is any more. */
const OVER_MS = 10_000;

/** Says of each subgraph, at most once a minute, that more is asked of it than it answers: those who are turned away are no lines of the log. */
export class Crowds {
  readonly #logger: Logger;
  readonly #bySubgraph = new Map<string, Outage>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  readonly turnedAway = (subgraph: string): void => {
    let crowd = this.#bySubgraph.get(subgraph);
    if (!crowd) {
      crowd = new Outage({
        logger: this.#logger,
        fields: { subgraph },
        began:
          'More is asked of a subgraph than it answers in time, and some are turned away: see how long its calls take, and SUBGRAPH_CONNECTIONS',
        lasts: 'More is still asked of a subgraph than it answers in time',
        over: 'Nobody is turned away by this subgraph any more',
        overMs: OVER_MS,
      });
      this.#bySubgraph.set(subgraph, crowd);
    }
    crowd.failed(turnedAwayBy(subgraph));
  };
}
