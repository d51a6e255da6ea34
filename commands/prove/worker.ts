import { arm, armFromEnvironment, setTrap, type CrashPoint, type Signal } from '#libs/crash-point';

/**
 * The small process that is killed: our libraries and handlers, without Nest. `node worker.js <job> <order>`: the job is a
 * module beside this one that exports `work`; the order is JSON. The harness speaks to it by messages.
 */
export interface Boss {
  /** Tells the harness. */
  tell(message: object): void;
  /** What the harness tells. */
  heard(listener: (message: never) => void): void;
}

export type Work = (order: never, boss: Boss) => Promise<void>;

interface Arming {
  readonly arm: CrashPoint;
  readonly nth: number;
  readonly signal: Signal;
}

/** However the harness ends, nobody stays behind. */
const LIFE_MS_MAX = 600_000;

const [job = '', order = '{}'] = process.argv.slice(2);
setTimeout(() => process.exit(3), LIFE_MS_MAX).unref();
process.on('disconnect', () => process.exit(4));
armFromEnvironment(process.env);

const listeners: ((message: never) => void)[] = [];
process.on('message', (message: Arming | object) => {
  if ('arm' in message) arm(message.arm, message.nth, message.signal);
  else if ('disarm' in message) {
    setTrap(undefined);
    process.send?.({ disarmed: true });
  } else for (const listener of listeners) listener(message as never);
});

const { work } = (await import(new URL(job, import.meta.url).href)) as { work: Work };
await work(JSON.parse(order) as never, {
  tell: (message) => void process.send?.(message),
  heard: (listener) => void listeners.push(listener),
});
process.exit(0);
