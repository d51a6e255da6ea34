import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { RebuildOrder, RebuildTold } from '../../commands/prove/rebuild.worker.js';
import { ROOT } from '../../commands/root.js';

/** Where each slice began that was filled, or compared. */
export interface Slices {
  readonly fills: string[];
  readonly compares: string[];
  ended: unknown;
}

export interface Meanwhile {
  /** What happens between any two slices of a model. */
  readonly between?: (model: string) => Promise<void>;
}

/** A process of our libraries, without Nest, that rebuilds read models to its end: by itself, or by SIGKILL when all of them stand. */
export function startRebuild(
  order: RebuildOrder,
  { between }: Meanwhile = {},
): { kill(): void; ended: Promise<Record<string, Slices>> } {
  const worker = join(ROOT, 'dist/commands/prove/worker.js');
  const child = fork(worker, ['./rebuild.worker.js', JSON.stringify(order)], {
    env: { PATH: process.env['PATH'] ?? '' },
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const slices = Object.fromEntries(
    order.models.map(({ model }): [string, Slices] => [model, { fills: [], compares: [], ended: undefined }]),
  );
  const stand = new Set<string>();
  let trouble: unknown;
  // All models go in step: who begins waits for transactions of before, so none is to stand in one before all have begun, nor for long.
  const steps = new Map(order.models.map(({ model }) => [model, 0]));
  const waiting: { step: number; go: () => void }[] = [];
  const reached = (model: string, step: number): void => {
    steps.set(model, step);
    for (const one of waiting.splice(0)) {
      if (one.step <= Math.min(...steps.values())) one.go();
      else waiting.push(one);
    }
  };
  child.on('message', (told: RebuildTold) => {
    const { model } = told;
    const of = slices[model] as Slices;
    const { fills, compares } = of;
    // What PostgreSQL gave up on, a deadlock for example, is begun again by the same process.
    if (told.fills !== undefined && told.fills !== fills.at(-1)) fills.push(told.fills);
    if (told.compares !== undefined && told.compares !== compares.at(-1)) compares.push(told.compares);
    if (told.ended !== undefined) of.ended = told.ended;
    if (told.stands && stand.add(model).size === order.models.length) child.kill('SIGKILL');
    if (told.stands || told.ended !== undefined) reached(model, Number.POSITIVE_INFINITY);
    if (told.stepped) {
      const step = 1 + (steps.get(model) ?? 0);
      new Promise<void>((go) => {
        waiting.push({ step, go });
        reached(model, step);
      })
        .then(() => between?.(model))
        .then(
          () => child.connected && child.send({ goOn: model }, () => {}),
          (error: unknown) => {
            trouble = error;
            child.kill('SIGKILL');
          },
        );
    }
  });
  const end = async (): Promise<Record<string, Slices>> => {
    // All that it told is here when it has let go of the line.
    const [[code, signal]] = await Promise.all([once(child, 'exit'), once(child, 'disconnect')]);
    if (trouble !== undefined) throw trouble;
    if (code !== 0 && signal !== 'SIGKILL') throw new Error(`The worker ended with ${code ?? signal}: ${said}`);
    return slices;
  };
  return { kill: () => void child.kill('SIGKILL'), ended: end() };
}
