import type { Socket } from 'node:net';
import { callHolder } from '#libs/database';
import type { Environment } from '#libs/settings';
import { onServers } from '../databases.js';
import { showProgress, type Progress } from '../seed/progress.js';
import { findStores, withStores } from '../stores.js';
import { answerRest, linesOf, send, type Told } from './lines.js';
import type { Job, Order, Screen } from './order.js';

/** Carries a command out, or has it carried out by the program that holds the data folder. Its exit code; 2: it was called wrongly. */
export async function giveOrder(order: Order, args: string[], env: Environment): Promise<number> {
  let job: Job;
  try {
    job = order.read(args);
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n\n${order.usage}`);
    return 2;
  }
  try {
    const { settings, dataDir } = await findStores(env);
    const holder = onServers(settings) ? undefined : await callHolder(dataDir);
    if (holder) return await doneBy(holder, order.name, args);
    return await withStores(order.name, job.services, env, (databases) =>
      job.run({ databases, screen: ownScreen, env, rest: ownRest }),
    );
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    return 1;
  }
}

const ownScreen: Screen = {
  say: (line) => void process.stdout.write(`${line}\n`),
  warn: (line) => void process.stderr.write(`${line}\n`),
  progress: (total, unit) => showProgress(total, process.stderr, unit),
};

/** On a server others have connections of their own, and a folder that one holds alone nobody else waits for. */
async function ownRest(ms = 0): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Shows what it is told. Whoever does it does no slice more when this process has ended; when that one has ended, this is an error. */
async function doneBy(holder: Socket, order: string, args: string[]): Promise<number> {
  let progress: Progress | undefined;
  let pid = '';
  const lines = linesOf(holder);
  send(holder, { order, args });
  try {
    for (let line = await lines.next(); line !== undefined; line = await lines.next()) {
      const told = JSON.parse(line) as Told;
      if (told.pid !== undefined) {
        pid = ` (pid ${told.pid})`;
        ownScreen.warn(`The program that has the data folder${pid} does it, beside the requests that it answers.`);
      }
      if (told.say !== undefined) ownScreen.say(told.say);
      if (told.warn !== undefined) ownScreen.warn(told.warn);
      if (told.progress) progress = ownScreen.progress(told.progress.total, told.progress.unit);
      if (told.add) progress?.add(told.add.rows, told.add.doing);
      if (told.stop) progress?.stop();
      if (told.rest) answerRest(holder);
      if (told.end !== undefined) return told.end;
    }
  } finally {
    progress?.stop();
    holder.destroy();
  }
  throw new Error(
    `The program${pid} that did this ended before it was done. What is done stays done: call this again, while it runs or is stopped.`,
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
