import { afterEach, describe, expect, it } from '@jest/globals';
import { Upstreams, type Target } from './upstream.js';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** Addresses of which the first is slow: a call to it is under way. Nobody connects to any. */
function addresses(count: number, random: () => number, clock = () => 0) {
  const upstreams = new Upstreams({ connections: 8, timeoutMs: 1_000, clock, random });
  closers.push(() => upstreams.close());
  const text = Array.from({ length: count }, (_, nth) => `http://127.0.0.1:${nth + 1}/graphql`).join();
  const upstream = upstreams.of(text);
  const [slow] = upstream.targets as [Target];
  slow.endpoint.places.line.enter({ deadline: 0, start: () => {} });
  return { upstream, slow };
}

describe('of several addresses', () => {
  it.each([2, 3])('%i, a slow one gets no call while another has less to do; control: drawn twice it does', (count) => {
    const draws = Array.from({ length: 12 }, (_, one) => Array.from({ length: 12 }, (__, other) => [one / 12, other / 12])); // prettier-ignore
    let turn: number[] = [];
    const { upstream, slow } = addresses(count, () => turn.shift()!);
    let chosen = 0;
    let naive = 0;
    for (const draw of draws.flat()) {
      turn = [...draw];
      if (upstream.choose(false, undefined) === slow) chosen += 1;
      if (draw.every((drawn) => upstream.targets[Math.floor(drawn * count)] === slow)) naive += 1;
    }
    expect([chosen, naive]).toEqual([0, 144 / count ** 2]);
  });

  it('one whose calls fail at once gets no more than its part, though it has less to do; control: a second later it gets all', () => {
    let now = 0;
    let turn: number[] = [];
    const { upstream, slow } = addresses(
      2,
      () => turn.shift()!,
      () => now,
    );
    const [, failing] = upstream.targets as [Target, Target];
    failing.endpoint.breaker.failed(failing.endpoint.breaker.begin(), false);
    const chosen = () =>
      [0, 0.5].map((one) => {
        turn = [one, 0];
        return upstream.choose(false, undefined);
      });
    expect(chosen()).toEqual([slow, failing]);
    now += 1_000;
    expect(chosen()).toEqual([failing, failing]);
  });

  it('one that has not ended a call lets in fewer the longer they wait: it may hang; control: while nobody waits, all', () => {
    let now = 0;
    const { slow } = addresses(
      2,
      () => 0,
      () => now,
    );
    const { endpoint } = slow;
    const come = (many: number): number => {
      for (let nth = 0; nth < many; nth += 1) {
        endpoint.places.line.enter({ deadline: 0, start: () => {} });
        endpoint.asked(false, true);
        endpoint.came(false);
      }
      const shares = [endpoint.share(false, 50)];
      now += 500;
      shares.push(endpoint.share(false, 50));
      return Math.min(...shares);
    };
    expect(come(7)).toBe(Infinity);
    expect(come(64)).toBe(0);
  });

  it('one of which nobody else is left is asked', () => {
    const { upstream, slow } = addresses(1, () => 0.99);
    expect(upstream.choose(false, undefined)).toBe(slow);
    expect(upstream.choose(false, slow, upstream.targets)).toBe(slow);
  });
});
