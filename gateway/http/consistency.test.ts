import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ConsistencyTokens, writesText, type Write } from '#libs/consistency';
import { CookieJar } from '../../test/consistency/cookie-jar.js';
import { UnderWay } from './consistency-cookies.js';
import { Consistency, type RequestConsistency } from './consistency.js';

const LIFETIME_S = 300;
const OVERLAP_S = 100;
const CONTROL = 'consistency-token';

/** One browser of one person, whose requests go to gateways in turn. Time is counted in seconds. */
class Browser {
  readonly jar: CookieJar;
  nowS = 1_800_000_000;
  /** What was answered, when. */
  readonly written = new Map<string, number>();
  readonly #gateways: readonly Consistency[];
  #requests = 0;

  /** `workers`: those are so many processes of one gateway, which know that they are. */
  constructor(gateways = 2, overlapS = OVERLAP_S, workers = 1) {
    const clock = (): number => this.nowS * 1_000;
    this.jar = new CookieJar(clock);
    this.#gateways = Array.from({ length: gateways }, () => {
      const tokens = new ConsistencyTokens({
        secret: 'a secret of at least thirty-two characters',
        lifetimeS: LIFETIME_S,
        clock,
      });
      return new Consistency(tokens, { overlapS, proxies: 0, processes: workers });
    });
  }

  /** A mutation is sent; what is answered has it answered. */
  mutate(aggregates: readonly string[], subject: string | null = 'user_a', keeps?: (name: string) => boolean) {
    const gateway = this.#next();
    const request = requestOf(this.jar.header());
    const response = Object.assign(new EventEmitter(), { destroyed: false }) as unknown as ServerResponse;
    const consistency = gateway.of(request, response, subject, 'mutation')!;
    return (): string[] => {
      consistency.note('posts', writesText(aggregates.map((aggregate) => writeOf(aggregate, this.nowS))));
      const headers = gateway.headers(request, subject, consistency);
      response.emit('close');
      const cookies = headers.flatMap(([name, value]) => (name === 'set-cookie' ? [value] : []));
      for (const cookie of cookies) if (keeps?.(cookie.split('=')[0]!) ?? true) this.jar.set(cookie);
      for (const aggregate of aggregates) this.written.set(aggregate, this.nowS);
      return cookies;
    };
  }

  /** What its next request is shown at least. */
  shown(subject: string | null = 'user_a'): string[] {
    return aggregatesOf(this.#next().of(requestOf(this.jar.header()), RESPONSE, subject, 'query'));
  }

  /** Of what was answered in the last five minutes. */
  lost(): string[] {
    const shown = new Set(this.shown());
    return [...this.written].filter(([one, at]) => at > this.nowS - LIFETIME_S && !shown.has(one)).map(([one]) => one);
  }

  #next(): Consistency {
    this.#requests += 1;
    return this.#gateways[this.#requests % this.#gateways.length]!;
  }
}

const RESPONSE = { destroyed: false, once: () => RESPONSE } as unknown as ServerResponse;
const requestOf = (cookie: string | undefined): IncomingMessage =>
  ({ headers: { cookie }, socket: {} }) as unknown as IncomingMessage;
const writeOf = (aggregate: string, at: number): Write => ({ source: 'posts', aggregate, version: 1, at });
const aggregatesOf = (consistency: RequestConsistency | undefined): string[] =>
  (consistency?.writes ?? []).map(({ aggregate }) => aggregate);

describe('the cookies of a browser', () => {
  it('hold what two mutations wrote that were under way at once, in whichever order they are answered', () => {
    for (const order of [
      [0, 1],
      [1, 0],
    ]) {
      const browser = new Browser();
      const under = [browser.mutate(['one']), browser.mutate(['two'])];
      for (const nth of order) under[nth]!();
      expect(browser.shown().sort()).toEqual(['one', 'two']);
      browser.mutate(['three'])();
      expect(browser.shown().sort()).toEqual(['one', 'three', 'two']);
    }
  });

  it('control: with the common one alone what was answered first is lost', () => {
    const browser = new Browser();
    const [one, two] = ['one', 'two'].map((of) => browser.mutate([of], 'user_a', (name) => name === CONTROL));
    one!();
    two!();
    expect(browser.shown()).toEqual(['two']);
  });

  it('lose nothing of what was answered, whatever is under way at once and however it overlaps', () => {
    const run = (steps: readonly (readonly [number, number])[], keeps?: (name: string) => boolean): string[] => {
      const browser = new Browser();
      const under: { sentAt: number; answer: () => unknown }[] = [];
      for (const [nth, [what, seconds]] of steps.entries()) {
        browser.nowS += seconds;
        // No mutation takes longer than the gateway lets it.
        while (under[0] && browser.nowS - under[0].sentAt > OVERLAP_S / 2) under.shift()!.answer();
        if (what < 6 && under.length < 8) {
          const answer = browser.mutate([`of:${nth}`], 'user_a', keeps);
          under.push({ sentAt: browser.nowS, answer });
        } else under.splice(what % Math.max(under.length, 1), 1)[0]?.answer();
        // Beyond 32 the oldest are left to the common one.
        if (browser.written.size > 30) break;
        const lost = browser.lost();
        if (lost.length > 0) return lost;
      }
      return [];
    };
    const steps = fc.array(fc.tuple(fc.nat(11), fc.oneof(fc.constant(0), fc.nat(40))), {
      minLength: 4,
      maxLength: 80,
    });
    fc.assert(fc.property(steps, (one) => run(one).length === 0));
    // The control: so it is not with the common one alone.
    const alone = fc.check(fc.property(steps, (one) => run(one, (name) => name === CONTROL).length === 0));
    expect(alone.failed).toBe(true);
  });

  it('are one, and those of the last two minutes: what an older one says the common one says as well', () => {
    const browser = new Browser();
    for (let nth = 0; nth < 5; nth += 1) browser.mutate([`of:${nth}`])();
    expect(browser.jar.names()).toHaveLength(6);
    browser.nowS += OVERLAP_S + 1;
    browser.mutate(['last'])();
    expect(browser.jar.names()).toHaveLength(2);
    expect(browser.lost()).toEqual([]);
    browser.nowS += LIFETIME_S + 1;
    expect(browser.jar.names()).toEqual([]);
  });

  it('are at most 33 of somebody who writes and writes, and 8 KB, and name the last forty', () => {
    const browser = new Browser();
    for (let nth = 0; nth < 200; nth += 1) {
      browser.mutate([`of:${nth}`])();
      expect(browser.jar.names().length).toBeLessThanOrEqual(33);
      expect(browser.jar.header()!.length).toBeLessThan(8_192);
    }
    expect(browser.shown()).toEqual(Array.from({ length: 40 }, (_, nth) => `of:${nth + 160}`));
  });

  it('of a thousand mutations at once have room in a request, and fifteen at once lose nothing', () => {
    const long = (nth: number): string => `relation:${'x'.repeat(44)}:${nth}`;
    const browser = new Browser(1);
    const before = browser.mutate(Array.from({ length: 40 }, (_, nth) => long(nth + 10_000)));
    const first = Array.from({ length: 15 }, (_, nth) => browser.mutate([long(nth)]));
    for (const answer of first) answer();
    expect(browser.lost()).toEqual([]);
    before();
    for (const answer of Array.from({ length: 1_000 }, (_, nth) => browser.mutate([long(nth + 100)]))) answer();
    expect(browser.jar.header()!.length).toBeLessThan(14_000);
  });

  it('of hundreds of mutations at once that sixteen workers answer have room in a request; control: where each takes itself for all, they have not', () => {
    const long = (nth: number): string => `relation:${'x'.repeat(44)}:${nth}`;
    const header = (workers: number): number => {
      const browser = new Browser(16, OVERLAP_S, workers);
      browser.mutate(Array.from({ length: 40 }, (_, nth) => long(nth + 10_000)))();
      for (let nth = 0; nth < 100; nth += 1) browser.mutate([long(nth + 20_000)])();
      for (const answer of Array.from({ length: 400 }, (_, nth) => browser.mutate([long(nth)]))) answer();
      return browser.jar.header()!.length;
    };
    expect(header(16)).toBeLessThan(14_000);
    expect(header(1)).toBeGreaterThan(16 * 1024);
  });

  it('of two mutations at once that any two of many workers answer lose nothing', () => {
    for (let between = 0; between < 4; between += 1) {
      const browser = new Browser(4, OVERLAP_S, 4);
      const one = browser.mutate(['one']);
      for (let others = 0; others < between; others += 1) browser.shown();
      const two = browser.mutate(['two']);
      one();
      two();
      expect(browser.lost()).toEqual([]);
    }
  });

  it('of somebody else say nothing, and are taken away when this one writes', () => {
    const browser = new Browser();
    browser.mutate(['one'])();
    browser.mutate(['two'])();
    expect(browser.shown('user_b')).toEqual([]);
    browser.mutate(['three'], 'user_b')();
    expect(browser.shown('user_b')).toEqual(['three']);
    expect(browser.shown('user_a')).toEqual([]);
    expect(browser.jar.names()).toHaveLength(2);
  });

  it('are set no wider than the common one, Secure behind https, and taken away by the same path', () => {
    const browser = new Browser();
    browser.mutate(['one'])();
    browser.nowS += OVERLAP_S + 1;
    const [common, own, gone, ...more] = browser.mutate(['two'])();
    const attributes = 'Path=/; HttpOnly; SameSite=Lax';
    expect(common).toMatch(new RegExp(`^consistency-token=[^;]+; Max-Age=300; ${attributes}$`));
    expect(own).toMatch(new RegExp(`^consistency-token\\.[\\w-]{6}=[^;]+; Max-Age=300; ${attributes}$`));
    expect(gone).toMatch(new RegExp(`^consistency-token\\.[\\w-]{6}=; Max-Age=0; ${attributes}$`));
    expect(more).toEqual([]);
  });

  it('that a client made up by the hundred are read to 32, and 64 of them are taken away; names of another form never', () => {
    const own = new Browser().mutate(['one'])()[1]!.split(';')[0]!;
    const forged = Array.from({ length: 400 }, (_, nth) => `consistency-token.${String(nth).padStart(6, 'a')}=x`);
    const strange = ['', '.', '.a b', '.abcdefg', '.abcde\u00e9', '.abc,ef'].map((end) => `consistency-token${end}=x`);
    const browser = new Browser();
    for (const cookie of [...strange, ...forged, own]) browser.jar.set(cookie);
    expect(browser.shown()).toEqual(['one']);
    const told = browser.mutate(['two'])();
    expect(told).toHaveLength(2 + 64);
    for (const one of told.slice(2)) expect(one).toMatch(/^consistency-token\.[\w-]{6}=; Max-Age=0; /);
    // The control: behind 32 newer ones it is not looked at.
    const behind = new Browser();
    for (const cookie of [own, ...forged.slice(0, 32)]) behind.jar.set(cookie);
    expect(behind.shown()).toEqual([]);
  });

  it('are counted while mutations of their client are under way, and then forgotten; who has gone away is not counted', () => {
    const underWay = new UnderWay(1);
    const response = () => Object.assign(new EventEmitter(), { destroyed: false }) as unknown as ServerResponse;
    const [one, two] = [response(), response()];
    const [mayOne, mayTwo] = [underWay.begin('somebody', one), underWay.begin('somebody', two)];
    // Of one that is alone any number, of what others did not know 2 KB.
    expect([mayOne(3_000), mayTwo(100), underWay.begin('another', response())(3_000)]).toEqual([true, false, true]);
    two.emit('close');
    expect(underWay.begin('somebody', two)(3_000)).toBe(true);
    for (const over of [one, two]) over.emit('close');
    expect(underWay.clients).toBe(1);
    expect(underWay.begin('gone', Object.assign(response(), { destroyed: true }))(1)).toBe(false);
    expect(underWay.clients).toBe(1);
  });
});
