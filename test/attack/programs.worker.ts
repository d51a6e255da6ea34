import { startPrograms, type State } from './programs.js';

/** What is attacked, in a process of its own: it says where it listens, and how it is whenever it is asked. */
export type FromWorker =
  | {
      readonly ready: Omit<Awaited<ReturnType<typeof startPrograms>>, 'state' | 'close'>;
    } /** `asked`: which question it answers. */
  | { readonly state: State; readonly asked: number };

const programs = await startPrograms();
const { state, close, ...ready } = programs;
const say = (message: FromWorker): void => void process.send?.(message);

process.on('message', (message) => {
  if (typeof message === 'number') void state().then((now) => say({ state: now, asked: message }));
  if (message === 'close') void close().finally(() => process.exit(0));
});
// Whoever started it is gone.
process.on('disconnect', () => process.exit(1));
say({ ready });
