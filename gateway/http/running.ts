import { Line, type Waiting } from '../fetch/line.js';

/** As many are always run at once: fewer could not keep an event loop busy that waits for services. */
const LEAST = 16;
/** And as many while it is not known to be busy, or twice as many as there were: of a crowd that comes in a tenth of a second the others wait. */
const FIRST = 128;
/** An event loop that never sleeps, and one that nearly never does: with less it waits for services, and one more at once gets more done. */
export const BUSY = 0.95;
export const NEARLY_BUSY = 0.85;
/** So many fewer at each look while it never sleeps, and so many more while it does now and then. */
const NARROWER = 0.75;
const WIDER = 1.25;
const WIDEST = 2;

/** Of one request. */
export interface Turn {
  /** Settles when it may begin; undefined: at once. Rejects with what `cut` was told. */
  readonly ready: Promise<void> | undefined;
  /** It has been answered, or never will be. */
  end(): void;
}

interface Beginning extends Waiting {
  told?: () => void;
  refuse?: (why: Error) => void;
}

/**
 * Of those who are taken (admission.ts), few at once while the event loop never sleeps: more under way get no more done, and each costs more,
 * for what all of them hold outlives the young heap. With 230 at once, of the published shape, an answer took 1.5 times the CPU that it
 * took with 16, and collecting garbage 21 % of the thread, not 12. Who came first goes first.
 *
 * Whoever began two looks ago holds no place any more: it may wait for a service, and sixteen of those would keep everybody else waiting.
 */
export class Running {
  readonly #line = new Line(FIRST, Infinity);
  #width = FIRST;
  #most = 0;
  /** Who has begun since the last look, and since the one before. */
  #fresh = new Set<object>();
  #aging = new Set<object>();

  /** Who has begun, less than two looks ago. */
  get inside(): number {
    return this.#line.inside;
  }

  get waiting(): number {
    return this.#line.waiting;
  }

  /** `order`: who has less of it begins first. */
  begin(order: number): Turn {
    const one: Beginning = {
      deadline: order,
      start: () => {
        this.#fresh.add(one);
        this.#most = Math.max(this.#most, this.inside);
        one.told?.();
      },
    };
    this.#line.enter(one);
    return {
      ready: this.#fresh.has(one)
        ? undefined
        : new Promise((resolve, reject) => {
            one.told = resolve;
            one.refuse = reject;
          }),
      end: () => {
        if (this.#fresh.delete(one) || this.#aging.delete(one)) this.#line.leave();
        else this.#line.giveUp(one);
      },
    };
  }

  /** Of more than so many that wait, those who came last wait no longer. How many. */
  cut(most: number, why: Error): number {
    const cut = this.#line.cut(most) as Beginning[];
    for (const one of cut) one.refuse?.(why);
    return cut.length;
  }

  /** `isLong`: it has been busy for a while. `isHeld`: less should be held at once, whatever it does. `max`: as many as ever. */
  look(utilization: number, isLong: boolean, isHeld: boolean, max: number): void {
    // Before the last step has told, another one would be a guess.
    const hasTold = this.inside <= this.#width;
    if (isHeld || (isLong && utilization >= BUSY)) {
      if (hasTold) this.#width = Math.max(LEAST, Math.min(this.#width, this.inside) * NARROWER);
    } else if (this.waiting > 0) this.#width *= utilization >= NEARLY_BUSY ? WIDER : WIDEST;
    else this.#width = Math.max(FIRST, 2 * this.#most, this.#width * NARROWER);
    this.#width = Math.min(max, this.#width);
    this.#most = 0;
    const before = this.#aging.size;
    [this.#aging, this.#fresh] = [this.#fresh, new Set()];
    this.#line.places = Math.floor(this.#width);
    for (let left = before; left > 0; left -= 1) this.#line.leave();
  }
}
