/** Where plans are checked: a thread for every supergraph that this process serves. */
import { parentPort } from 'node:worker_threads';
import { readSupergraph } from '../supergraph/supergraph.js';
import type { CheckAnswer, CheckQuestion } from './checking.js';
import { Checks } from './checks.js';

/** The one that is served, the next one, and one more. */
const KEPT = 3;
const known = new Map<string, Checks>();

parentPort!.postMessage({ ready: true });
parentPort!.on('message', (question: CheckQuestion) => {
  try {
    parentPort!.postMessage({ answer: answer(question) });
  } catch (error) {
    parentPort!.postMessage({ error: String((error as Error).message) });
  }
});

function answer({ id, read, asked, plan }: CheckQuestion): CheckAnswer {
  let checks = known.get(id);
  if (!checks) {
    if (!read) return 'unread';
    checks = new Checks(readSupergraph(read.sdl, (subgraph) => read.addresses.get(subgraph)));
  }
  known.delete(id);
  known.set(id, checks);
  if (known.size > KEPT) known.delete(known.keys().next().value!);
  if (!asked) return 'read';
  return plan ? { found: checks.check(asked, plan) } : { plain: checks.planPlainly(asked) };
}
