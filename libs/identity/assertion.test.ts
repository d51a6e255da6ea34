import { createHmac } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { AssertionSigner, AssertionVerifier, globalId, newId } from './index.js';

let now = Date.UTC(2026, 10, 20);
const clock = () => now;
const secret = 's'.repeat(32);
const signer = new AssertionSigner({ secrets: (subgraph) => `${subgraph}${secret}`, clock });
const users = new AssertionVerifier({ subgraph: 'users', secret: `users${secret}`, clock });
const alice = globalId('user', newId());

describe('an assertion', () => {
  it('tells one subgraph who asks, or that nobody does', () => {
    expect(users.verify(signer.sign('users', alice))).toEqual({ subject: alice });
    expect(users.verify(signer.sign('users', null))).toEqual({ subject: null });
  });

  it('is the same text for 20 seconds, so equal reads stay equal, and believed for 30', () => {
    const first = signer.sign('users', alice);
    now += 19_999;
    expect(signer.sign('users', alice)).toBe(first);
    now += 1;
    expect(signer.sign('users', alice)).not.toBe(first);
    now += 10_000;
    expect(users.verify(first)).toEqual({ subject: alice });
    now += 6_000;
    expect(refused(first)).toBe('UNAUTHENTICATED');
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
        expect(users.verify(gateway.sign('users', alice))).toEqual({ subject: alice });
        expect(service.verify(signer.sign('users', alice))).toEqual({ subject: alice });
        // Both were wrong when they began, and one is set right.
        const steady = (): number => now - minutes * 60_000;
        const gatewaySetRight = new AssertionSigner({ ...ofGateway, clock, steady });
        expect(users.verify(gatewaySetRight.sign('users', alice))).toEqual({ subject: alice });
        expect(new AssertionVerifier({ ...ofUsers, clock, steady }).verify(signer.sign('users', alice))).toEqual({
          subject: alice,
        });
      });

      it('is not believed for longer', () => {
        const gateway = new AssertionSigner({ ...ofGateway, steady: clock });
        const first = gateway.sign('users', alice);
        now += 36_000;
        expect(refused(first)).toBe('UNAUTHENTICATED');
        now -= 36_000;
      });

      it('control: by the clock alone the service refuses its gateway', () => {
        expect(refused(new AssertionSigner(ofGateway).sign('users', alice))).toBe('UNAUTHENTICATED');
        expect(() => new AssertionVerifier(ofUsers).verify(signer.sign('users', alice))).toThrow();
      });
    },
  );

  it('is never one subject’s for another', () => {
    const bob = globalId('user', newId());
    for (const subject of [alice, bob, null, '', 'null'])
      expect(users.verify(signer.sign('users', subject)).subject).toBe(subject);
  });

  const good = () => signer.sign('users', alice);
  const none = Buffer.from('{"alg":"none","typ":"assertion+jwt"}').toString('base64url');
  const claims = { iss: 'tributary-gateway', aud: 'users', iat: now / 1_000, exp: now / 1_000 + 30, sub: alice };
  it.each<[string, () => string | undefined]>([
    ['nothing', () => undefined],
    ['empty', () => ''],
    ['64 KB', () => 'x'.repeat(65_536)],
    ['for another subgraph', () => signer.sign('posts', alice)],
    [
      'for another subgraph, though by our secret',
      () => new AssertionSigner({ secrets: () => `users${secret}`, clock }).sign('posts', alice),
    ],
    ['by another secret', () => new AssertionSigner({ secrets: () => secret, clock }).sign('users', alice)],
    ['alg none', () => `${none}.${good().split('.')[1]}.`],
    [
      'another header, well signed',
      () => signed(Buffer.from('{"typ":"at+jwt","alg":"HS256"}').toString('base64url'), claims),
    ],
    ['changed', () => good().replace(/\.(.)/, (_, c: string) => `.${c === 'e' ? 'f' : 'e'}`)],
    ['cut', () => good().slice(0, -1)],
    ['with another spelling of the same signature', () => `${good()}=`],
    ['two at once', () => `${good()}, ${good()}`],
    [
      'from the future',
      () => new AssertionSigner({ secrets: (s) => `${s}${secret}`, clock: () => now + 60_000 }).sign('users', alice),
    ],
    [
      'that wants to live for ever',
      () => signed(good().split('.')[0] ?? '', { ...claims, iat: now / 1_000, exp: now / 1_000 + 9_999 }),
    ],
    [
      'by another issuer',
      () => signed(good().split('.')[0] ?? '', { ...claims, iss: 'me', iat: now / 1_000, exp: now / 1_000 + 30 }),
    ],
  ])('is refused when it is %s', (_, made) => {
    expect(refused(made())).toBe('UNAUTHENTICATED');
  });
});

function refused(assertion: string | undefined): unknown {
  try {
    return users.verify(assertion);
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

function signed(header: string, payload: object): string {
  const text = `${header}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`;
  return `${text}.${createHmac('sha256', `users${secret}`).update(text).digest('base64url')}`;
}
