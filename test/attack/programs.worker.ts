import { startPrograms, type How, type State } from './programs.js';

/** What is attacked, in a process of its own: it says where it listens, and how it is whenever it is asked. */
export type FromWorker =
  | {
      readonly ready: Omit<Awaited<ReturnType<typeof startPrograms>>, 'state' | 'close'>;
      /** Has every object a __proto__ here? Not where Node was started with --disable-proto=delete. */
      readonly proto: boolean;
    } /** `asked`: which question it answers. */
  | { readonly state: State; readonly asked: number };

export type ToWorker = { readonly asked: number; readonly how: How } | 'close';

const programs = await startPrograms();
const { state, close, ...ready } = programs;
const say = (message: FromWorker): void => void process.send?.(message);

process.on('message', (message: ToWorker) => {
  if (message === 'close') void close().finally(() => process.exit(0));
  else void state(message.how).then((now) => say({ state: now, asked: message.asked }));
});
// Whoever started it is gone.
process.on('disconnect', () => process.exit(1));
say({ ready, proto: '__proto__' in {} });
