import { createHmac } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import {
  AssertionSigner,
  AssertionVerifier,
  CLIENT_HEADER,
  globalId,
  IDEMPOTENCY_HEADER,
  newId,
  RefusedCall,
  requireCall,
  SESSION_HEADER,
  type Call,
  type Refusal,
} from './index.js';

let now = Date.UTC(2026, 10, 20);
const clock = () => now;
const secret = 's'.repeat(32);
const signer = new AssertionSigner({ secrets: (subgraph) => `${subgraph}${secret}`, clock });
const verifier = (more: { timed?: boolean; callsMax?: number } = {}) =>
  new AssertionVerifier({ subgraph: 'users', secret: `users${secret}`, clock, ...more });
const users = verifier();
const alice = globalId('user', newId());
const body = '{"query":"{me{id}}"}';

describe('an assertion', () => {
  it('tells one subgraph who asks, or that nobody does', () => {
    expect(users.take(signer.sign('users', alice, { body }))).toMatchObject({ subject: alice });
    expect(users.take(signer.sign('users', null, { body }))).toMatchObject({ subject: null });
  });

  it('is believed for 30 seconds, and five more where clocks disagree', () => {
    const [first, second, third] = [1, 2, 3].map(() => signer.sign('users', alice, { body }));
    now += 30_000;
    expect(users.take(first)).toMatchObject({ subject: alice });
    now += 4_999;
    expect(users.take(second)).toMatchObject({ subject: alice });
    now += 1;
    expect(refused(third)).toBe('UNAUTHENTICATED');
  });

  it('is taken once, however often and how late it comes; control: what gateways of before sign is taken twice', () => {
    const [one, other] = [signer.sign('users', alice, { body }), timed()];
    const lax = verifier({ timed: true });
    for (let ms = 0; ms < 34_000; ms += 1_000, now += 1_000) {
      const isFirst = ms === 0;
      expect([code(() => users.take(one)), code(() => lax.take(one))]).toEqual(
        isFirst ? [undefined, undefined] : ['UNAUTHENTICATED', 'UNAUTHENTICATED'],
      );
      expect(code(() => lax.take(other))).toBeUndefined();
    }
  });

  it('differs each time it is signed, also by two gateways at once', () => {
    const another = new AssertionSigner({ secrets: (subgraph) => `${subgraph}${secret}`, clock });
    const texts = [signer, signer, another, another].map((one) => one.sign('users', alice, { body }));
    expect(texts.map((text) => code(() => users.take(text)))).toEqual(texts.map(() => undefined));
  });

  it('holds however many are taken: memory is bounded, and what is forgotten is refused by its time', () => {
    const small = verifier({ callsMax: 10 });
    const taken: string[] = [];
    for (let n = 0; n < 100; n += 1, now += 300) {
      taken.push(signer.sign('users', null, { body }));
      small.take(taken.at(-1));
    }
    expect(taken.map((text) => code(() => small.take(text)))).toEqual(taken.map(() => 'UNAUTHENTICATED'));
    expect(code(() => small.take(signer.sign('users', null, { body })))).toBeUndefined();
  });

  describe.each([5, -5])(
    'of two machines, of which the clock of one is set by %i minutes while they run',
    (minutes) => {
      const set = (): number => now + minutes * 60_000;
      const ofGateway = { secrets: (subgraph: string) => `${subgraph}${secret}`, clock: set };
      const ofUsers = { subgraph: 'users', secret: `users${secret}`, clock: set };

      it('is believed as before: each knows what time it would be, had nobody set it', () => {
        const [gateway, service] = [
          new AssertionSigner({ ...ofGateway, steady: clock }),
          new AssertionVerifier({ ...ofUsers, steady: clock }),
        ];
        expect(users.take(gateway.sign('users', alice, { body }))).toMatchObject({ subject: alice });
        expect(service.take(signer.sign('users', alice, { body }))).toMatchObject({ subject: alice });
        // Both were wrong when they began, and one is set right.
        const steady = (): number => now - minutes * 60_000;
        const gatewaySetRight = new AssertionSigner({ ...ofGateway, clock, steady });
        expect(users.take(gatewaySetRight.sign('users', alice, { body }))).toMatchObject({ subject: alice });
        expect(
          new AssertionVerifier({ ...ofUsers, clock, steady }).take(signer.sign('users', alice, { body })),
        ).toMatchObject({
          subject: alice,
        });
      });

      it('is taken once, and what is signed after its clock was set right again is not taken for old', () => {
        let [off, small] = [minutes * 60_000, new AssertionVerifier({ ...ofUsers, clock, callsMax: 1 })];
        const gateway = new AssertionSigner({ ...ofGateway, clock: () => now + off, steady: clock });
        const [first, second] = [1, 2].map(() => gateway.sign('users', alice, { body }));
        small.take(first);
        small.take(second);
        off = 0;
        // What was signed before is forgotten by its number and refused by its time, which is that of nobody's clock.
        now += 3_000;
        for (let n = 0; n < 3; n += 1, now += 2_000)
          expect(small.take(gateway.sign('users', alice, { body }))).toMatchObject({ subject: alice });
        for (const text of [first, second]) expect(code(() => small.take(text))).toBe('UNAUTHENTICATED');
        now -= 9_000;
      });

      it('is not believed for longer', () => {
        const gateway = new AssertionSigner({ ...ofGateway, steady: clock });
        const first = gateway.sign('users', alice, { body });
        now += 36_000;
        expect(refused(first)).toBe('UNAUTHENTICATED');
        now -= 36_000;
      });

      it('control: by the clock alone the service refuses its gateway', () => {
        expect(refused(new AssertionSigner(ofGateway).sign('users', alice, { body }))).toBe('UNAUTHENTICATED');
        expect(() => new AssertionVerifier(ofUsers).take(signer.sign('users', alice, { body }))).toThrow();
      });
    },
  );

  it('is never one subject’s for another', () => {
    const bob = globalId('user', newId());
    for (const subject of [alice, bob, null, '', 'null'])
      expect(users.take(signer.sign('users', subject, { body })).subject).toBe(subject);
  });

  const good = () => signer.sign('users', alice, { body });
  const none = Buffer.from('{"alg":"none","typ":"assertion+jwt"}').toString('base64url');
  const claims = () => ({
    iss: 'tributary-gateway',
    aud: 'users',
    iat: now / 1_000,
    exp: now / 1_000 + 30,
    sub: alice,
    jti: newId(),
    call: 'x'.repeat(43),
  });
  const [head = ''] = good().split('.');
  it('control: what is forged below is taken as it was before', () => {
    expect(users.take(signed(head, claims()))).toMatchObject({ subject: alice });
  });
  it.each<[string, Refusal, () => string | undefined]>([
    ['nothing', 'unsigned', () => undefined],
    ['empty', 'unsigned', () => ''],
    ['64 KB', 'unsigned', () => 'x'.repeat(65_536)],
    ['for another subgraph', 'signature', () => signer.sign('posts', alice, { body })],
    [
      'for another subgraph, though by our secret',
      'audience',
      () => new AssertionSigner({ secrets: () => `users${secret}`, clock }).sign('posts', alice, { body }),
    ],
    [
      'by another secret',
      'signature',
      () => new AssertionSigner({ secrets: () => secret, clock }).sign('users', alice, { body }),
    ],
    ['alg none', 'unsigned', () => `${none}.${good().split('.')[1]}.`],
    [
      'another header, well signed',
      'unsigned',
      () => signed(Buffer.from('{"typ":"at+jwt","alg":"HS256"}').toString('base64url'), claims()),
    ],
    ['changed', 'signature', () => good().replace(/\.(.)/, (_, c: string) => `.${c === 'e' ? 'f' : 'e'}`)],
    ['cut', 'signature', () => good().slice(0, -1)],
    ['with another spelling of the same signature', 'signature', () => `${good()}=`],
    ['two at once', 'signature', () => `${good()}, ${good()}`],
    ['from the future', 'early', () => signedAt(now + 60_000)],
    ['from the past', 'expired', () => signedAt(now - 60_000)],
    ['that wants to live for ever', 'audience', () => signed(head, { ...claims(), exp: now / 1_000 + 9_999 })],
    ['by another issuer', 'audience', () => signed(head, { ...claims(), iss: 'me' })],
    ['of no call', 'untied', () => timed()],
    ['with a name and no call', 'untied', () => signed(head, { ...claims(), call: undefined })],
    ['of a call without a name', 'untied', () => signed(head, { ...claims(), jti: undefined })],
    ['taken', 'replayed', () => taken(good())],
  ])('is refused when it is %s, and says that it is %s', (_, why, made) => {
    const error = thrown(() => users.take(made()));
    expect(error).toBeInstanceOf(RefusedCall);
    expect(error).toMatchObject({ code: 'UNAUTHENTICATED', why });
    // Who sent it is told the same as everybody.
    expect((error as Error).message).toBe('This service answers the gateway only.');
  });
});

describe('what an assertion is for', () => {
  const key = { [IDEMPOTENCY_HEADER]: 'k.p', [SESSION_HEADER]: 's', [CLIENT_HEADER]: 'c' };
  const call: Call = { method: 'POST', path: '/graphql?a=1', headers: key, body };
  const asked = (came: Call, as = call) => {
    const asserted = users.take(signer.sign('users', alice, as));
    return code(() => requireCall(asserted, came));
  };

  it('is this call, whatever its body came as, by whatever path, and whatever else its headers say', () => {
    for (const same of [
      call,
      { ...call, body: Buffer.from(body) },
      { ...call, path: '/behind/a/proxy?a=1' },
      { ...call, headers: { ...key, 'x-request-id': '1' } },
    ])
      expect(asked(same)).toBeUndefined();
    const text = { body: '{"query":"ü € 😀"}' };
    expect(asked({ body: Buffer.from(text.body) }, text)).toBeUndefined();
    expect(asked({ method: 'POST', path: '/graphql', headers: {}, body: '' }, {})).toBeUndefined();
  });

  it.each<[string, Call]>([
    ['another body', { ...call, body: '{"query":"{me{email}}"}' }],
    ['a body with a line more', { ...call, body: `${body}\n` }],
    ['no body', { ...call, body: '' }],
    ['another method', { ...call, method: 'GET' }],
    ['another query string', { ...call, path: '/graphql?a=2' }],
    ['no query string', { ...call, path: '/graphql' }],
    ['another key', { ...call, headers: { ...key, [IDEMPOTENCY_HEADER]: 'k.q' } }],
    ['no key', { ...call, headers: { ...key, [IDEMPOTENCY_HEADER]: undefined } }],
    ['two keys', { ...call, headers: { ...key, [IDEMPOTENCY_HEADER]: ['k.p', 'k.p'] } }],
    ['another log-in', { ...call, headers: { ...key, [SESSION_HEADER]: 't' } }],
    ['no client', { ...call, headers: { ...key, [CLIENT_HEADER]: undefined } }],
    ['what is a header in the body', { ...call, headers: { ...key, [CLIENT_HEADER]: undefined }, body: `c\n${body}` }],
  ])('is not %s', (_, came) => {
    const asserted = users.take(signer.sign('users', alice, call));
    expect(thrown(() => requireCall(asserted, came))).toMatchObject({ code: 'UNAUTHENTICATED', why: 'altered' });
  });
});

describe('while programs are updated', () => {
  it('a gateway of before is refused, unless the service takes what is for every call', () => {
    expect(refused(timed())).toBe('UNAUTHENTICATED');
    const during = verifier({ timed: true });
    const asserted = during.take(timed());
    expect(asserted).toEqual({ subject: alice });
    expect(code(() => requireCall(asserted, { body: 'anything' }))).toBeUndefined();
    // Nobody gets around what a new gateway signs by that.
    const fresh = during.take(signer.sign('users', alice, { body }));
    expect(code(() => requireCall(fresh, { body: 'anything' }))).toBe('UNAUTHENTICATED');
  });

  it('a gateway of before names no write, which is then that of each call; one of now has several calls be one', () => {
    const writeOf = (write?: string) => users.take(signer.sign('users', alice, { body }, write)).call?.write;
    const [one, other] = [writeOf(), writeOf()];
    expect([typeof one, one === other]).toEqual(['string', false]);
    expect([writeOf('w'), writeOf('w')]).toEqual(['w', 'w']);
    expect(takenBefore(signer.sign('users', alice, { body }, 'w'.repeat(36)))).toBe(alice);
  });

  it('a service of before takes what a new gateway signs, for as long and from as many services', () => {
    const text = signer.sign('users', alice, { body });
    expect([text.length < 1_000, takenBefore(text)]).toEqual([true, alice]);
    expect(takenBefore(signer.sign('users', null, { body }))).toBeNull();
    expect(takenBefore(signer.sign('posts', alice, { body }))).toBeUndefined();
    now += 35_000;
    expect(takenBefore(text)).toBeUndefined();
  });
});

function refused(assertion: string | undefined): unknown {
  return code(() => users.take(assertion));
}

function code(work: () => unknown): unknown {
  return (thrown(work) as { code?: string } | undefined)?.code;
}

function thrown(work: () => unknown): unknown {
  try {
    work();
    return undefined;
  } catch (error) {
    return error;
  }
}

function taken(assertion: string): string {
  users.take(assertion);
  return assertion;
}

function signedAt(ms: number): string {
  const another = new AssertionSigner({ secrets: (subgraph) => `${subgraph}${secret}`, clock: () => ms });
  return another.sign('users', alice, { body });
}

/** As gateways of before sign: the same for whatever is asked. */
function timed(): string {
  const claims = { iss: 'tributary-gateway', aud: 'users', iat: now / 1_000, exp: now / 1_000 + 30, sub: alice };
  return signed(signer.sign('users', null, {}).split('.')[0] ?? '', claims);
}

/** Whom a service of before takes it for; undefined: it refuses. */
function takenBefore(assertion: string): string | null | undefined {
  const end = assertion.lastIndexOf('.');
  const text = assertion.slice(0, end);
  const expected = createHmac('sha256', `users${secret}`).update(text).digest('base64url');
  if (assertion.length > 1_000 || assertion.slice(end + 1) !== expected) return undefined;
  const { iss, aud, iat, exp, sub } = JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString()) as {
    [claim in 'iss' | 'aud' | 'sub']?: string;
  } & { iat: number; exp: number };
  const timely = now / 1_000 < exp + 5 && now / 1_000 > iat - 5 && exp - iat <= 30;
  return iss === 'tributary-gateway' && aud === 'users' && timely ? (sub ?? null) : undefined;
}

function signed(header: string, payload: object): string {
  const text = `${header}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`;
  return `${text}.${createHmac('sha256', `users${secret}`).update(text).digest('base64url')}`;
}
