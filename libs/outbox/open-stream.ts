import type { Logger } from '#libs/telemetry';

import { InProcessStream } from './in-process-stream.js';
import { RedisStream } from './redis-stream.js';
import type { Listeners, Stream } from './stream.js';

export interface StreamOptions {
  readonly redisUrl?: string | undefined;
  readonly logger: Logger;
  /** `LISTENERS` of `#libs/events` in a program; absent: whoever has subscribed so far. */
  readonly listeners?: Listeners;
}

/** Redis where it is given, else the stream that lives in this process. */
export function openStream({ redisUrl, logger, listeners = {} }: StreamOptions): Stream {
  return redisUrl === undefined
    ? new InProcessStream({ listeners })
    : new RedisStream({ url: redisUrl, logger, listeners });
}
