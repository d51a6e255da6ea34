import type { Attack, Seen, Stage } from './attack.js';
import { wrongInEveryAnswer } from './check.js';
import type { How, Programs, State } from './programs.js';
import { send } from './send.js';

/** One mistake is found often enough. */
const FOUND_MAX = 20;

/** What an attack of several messages has to do with; what is wrong on its way is added to `wrong`. */
export function stageOf(row: Attack, programs: Programs, wrong: string[]): Stage {
  const found = (...those: readonly string[]): void => void wrong.push(...those.slice(0, FOUND_MAX - wrong.length));
  /** What they went through is asked for when it is over. */
  const state = async (how: How = {}): Promise<State> => {
    const now = await programs.state({ ...how, beside: true });
    found(...wrongNow(now));
    return now;
  };
  return {
    cast: programs.cast,
    urls: programs.urls,
    async ask(message, to = row.to) {
      const seen = await send(programs.urls[to], message);
      if (seen.text !== '') found(...wrongInEveryAnswer(seen));
      return seen;
    },
    set: async (around) => void (await state({ around })),
    counts: () => state(),
    passwords: async () => (await state({ passwords: true })).passwords ?? [],
    found,
  };
}

/** What no attack may bring about. */
export function wrongNow({ polluted, wrong }: State): string[] {
  return [...(polluted === undefined ? [] : [polluted]), ...wrong];
}

/** Two kinds of question that are to cost the same: what is found when each of three times they do not. A service does things by itself, too. */
export async function sameWork(
  stage: Stage,
  ask: { readonly one: () => Promise<Seen>; readonly other: () => Promise<Seen> },
): Promise<readonly [one: Seen, other: Seen]> {
  const worked = async (asking: () => Promise<Seen>): Promise<readonly [Seen, string]> => {
    const before = (await stage.counts()).statements;
    const seen = await asking();
    const after = (await stage.counts()).statements;
    const names = Object.keys(after) as (keyof typeof after)[];
    return [seen, names.map((name) => `${name} ${after[name] - before[name]}`).join(', ')];
  };
  for (let time = 1; ; time += 1) {
    const [[one, its], [other, others]] = [await worked(ask.one), await worked(ask.other)];
    if (its !== others && time < 3) continue;
    if (its !== others) stage.found(`SQL statements: ${its}; and of the other: ${others}`);
    if (words(one) !== words(other)) stage.found(`${one.text} and ${other.text}`);
    return [one, other];
  }
}

/** Each answer names its request. */
function words({ status, text }: Seen): string {
  return `${status} ${text.replaceAll(/"requestId":"[^"]*"/g, '')}`;
}

/** Asks until it is answered so; a machine that is busy has half a minute. */
export async function until(ask: () => Promise<Seen>, holds: (seen: Seen) => boolean): Promise<Seen> {
  const end = performance.now() + 30_000;
  for (;;) {
    const seen = await ask();
    if (holds(seen)) return seen;
    if (performance.now() > end)
      throw new Error(`after half a minute still ${seen.status}: ${seen.text.slice(0, 200)}`);
    await new Promise((go) => setTimeout(go, 50));
  }
}
