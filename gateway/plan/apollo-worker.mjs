/**
 * Apollo's planner on a thread of its own: planning is synchronous JavaScript and may take seconds, which the event loop
 * that answers requests must never wait for. Plain JavaScript, so that it is the same file from source and from dist.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { apolloPlanning } from './apollo-planning.mjs';

const planning = apolloPlanning(workerData.sdl);

parentPort.postMessage({ ready: planning.labels });
parentPort.on('message', ({ query, on }) => {
  try {
    parentPort.postMessage({ answer: planning.plan(query, on) });
  } catch (error) {
    parentPort.postMessage({ error: String(error?.message ?? error) });
  }
});
