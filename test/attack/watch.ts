import { memoryUsage } from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What this process went through since it was asked last. */
export interface Strain {
  /** The longest that its loop was kept from its work, what is going on now with it. */
  readonly blockedMs: number;
  /** Resident memory: now, and the most that there was. */
  readonly rssBytes: number;
  readonly rssPeakBytes: number;
}

export const NO_STRAIN: Strain = { blockedMs: 0, rssBytes: 0, rssPeakBytes: 0 };

export interface Watch {
  strain(): Strain;
  end(): void;
}

/** Looks every 5 ms: monitorEventLoopDelay() does not see what begins within 5 ms of its reset(), which is when an attack arrives. */
export function watchProcess(everyMs = 5): Watch {
  let last = performance.now();
  let longest = 0;
  let peak = 0;
  const look = (): number => {
    const now = performance.now();
    longest = Math.max(longest, now - last - everyMs);
    last = now;
    const rss = memoryUsage.rss();
    peak = Math.max(peak, rss);
    return rss;
  };
  const timer = setInterval(look, everyMs).unref();
  return {
    strain() {
      const rssBytes = look();
      const found = { blockedMs: longest, rssBytes, rssPeakBytes: peak };
      longest = 0;
      peak = 0;
      return found;
    },
    end: () => clearInterval(timer),
  };
}

/** Throws away what nobody needs any more, or what comes next would be hidden behind it: buffers go a moment after their objects. */
export async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  await delay(10);
  collect();
}
