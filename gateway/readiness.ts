import type { HeapWatch } from '#libs/lifecycle';
import type { FirstKnown } from './first-known.js';
import type { Admission } from './http/admission.js';
import type { Readiness } from './http/health.controller.js';
import type { PersistedDocuments } from './http/persisted-documents.js';
import type { Reachable } from './supergraph/reachable.js';
import type { ServedSupergraph } from './supergraph/served.js';

/** Whether it answers, and what it waits for, in words that name no address. */
export class GatewayReadiness {
  /** From now on it is ready no more. */
  ending = false;

  constructor(
    private readonly parts: {
      readonly served: ServedSupergraph;
      readonly reachable: Reachable;
      readonly known: FirstKnown;
      readonly admission: Admission | undefined;
      readonly heap: HeapWatch;
      readonly persisted: PersistedDocuments | undefined;
      /** Own readiness → that of all who share its port (workers/); absent: it is alone. */
      readonly everybody: ((own: Readiness) => Readiness) | undefined;
    },
  ) {}

  /** What those who share its port are told of it. */
  own(): Readiness {
    const { served, reachable, known, persisted } = this.parts;
    const current = served.current;
    const missing = [
      ...(current
        ? reachable.missing(current.supergraph)
        : [`supergraph: ${withoutAddresses(served.trouble ?? 'it is being read')}`]),
      ...known.missing(),
    ];
    const waitingFor = this.ending ? ['nothing: it is ending', ...missing] : missing;
    return {
      ready: waitingFor.length === 0,
      started: current !== undefined,
      waitingFor,
      ...(current ? { supergraph: current.supergraph.id.slice(0, 12), ...current.engine.about } : {}),
      ...(current && served.trouble ? { newest: `not served: ${withoutAddresses(served.trouble)}` } : {}),
      ...(persisted?.trouble === undefined ? {} : { documents: 'the newest are not served' }),
    };
  }

  /** What /health/ready says. */
  said(): Readiness {
    const { admission, heap, everybody } = this.parts;
    const said = everybody?.(this.own()) ?? this.own();
    // Of this process alone: its fellows (workers/) go on.
    const own = [
      ...(admission && admission.pressedMs >= PRESSED_MS ? ['event loop: its steps take too long'] : []),
      ...(heap.full ? ['heap: it is nearly full'] : []),
    ];
    return own.length === 0 ? said : { ...said, ready: false, waitingFor: [...said.waitingFor, ...own] };
  }
}

/** A gateway whose event loop has been late for so long answers nobody in time: others are to be asked meanwhile. */
const PRESSED_MS = 1_000;

/** Anybody may ask for our health; where things are is not for anybody. */
function withoutAddresses(text: string): string {
  return (
    text
      .split('\n')[0]!
      .replaceAll(/https?:\/\/\S+|(?:\/[\w.-]+){2,}|\("[^"]*"\)/g, '…')
      // `posts.internal:4002` has no other sign of being one.
      .replaceAll(/ at \S+,/g, ' at …,')
      .slice(0, 300)
  );
}
