import { newId } from '#libs/identity';
import { PASSWORD } from '../people.js';
import {
  asks,
  attacks,
  bearer,
  query,
  type Attack,
  type Message,
  type Seen,
  type Stage,
  type Table,
} from './attack.js';
import { tokenOf } from './forged-tokens.js';
import { until } from './stage.js';

const UNAUTHENTICATED = { code: 'UNAUTHENTICATED', headers: { 'www-authenticate': /^Bearer / } };

/** What is sent is known when its scene is played. */
interface Told {
  message: Message;
}

const isRefused = ({ status }: Seen): boolean => status === 401;

/** Throws unless it was answered; else what comes then would be no sign. */
async function answered(stage: Stage, message: Message): Promise<Seen> {
  const seen = await stage.ask(message);
  if (seen.status !== 200) throw new Error(`a log-in was not taken before it had ended: ${seen.text.slice(0, 200)}`);
  return seen;
}

function logIn(stage: Stage, handle: string): Promise<string> {
  const asked = asks('mutation($i:LogInInput!){logIn(input:$i){token}}', {
    variables: { i: { handle, password: PASSWORD } },
  });
  return answered(stage, asked).then(({ text }) => /"token":"([^"]+)"/.exec(text)?.[1] ?? '');
}

/** Somebody logs out, and the token of that log-in is used by who has kept it. */
const ended: Told = { message: {} };
const LOGGED_OUT = attacks(
  'social',
  {
    'F13 the token of a log-in that was ended': [() => ended.message, 401, UNAUTHENTICATED],
  },
  {
    async scene(stage) {
      const headers = bearer(await logIn(stage, 'bob'));
      ended.message = { headers, body: query('{me{handle}}') };
      await answered(stage, ended.message);
      await answered(stage, { headers, body: query('mutation{logOut{everywhere}}') });
      await until(() => stage.ask(ended.message), isRefused);
    },
  },
);

/** Somebody revokes it where tokens come from. */
const revoked: Told = { message: {} };
const REVOKED = attacks(
  'private',
  {
    'F13 a token that was revoked': [() => revoked.message, 401, UNAUTHENTICATED],
  },
  {
    async scene(stage) {
      const jti = newId();
      revoked.message = { headers: bearer(tokenOf(stage.cast, { jti })), body: query('{me{name}}') };
      await answered(stage, revoked.message);
      await stage.set({ ended: [jti] });
      await until(() => stage.ask(revoked.message), isRefused);
    },
  },
);

const by =
  (key: 'first' | 'next') =>
  (cast: Stage['cast']): Message => ({ headers: bearer(tokenOf(cast, {}, key)), body: query('{me{name}}') });

/** A new key is known half a minute after the last look at what is published, and one that was withdrawn believed for ten minutes at the longest. */
const ROTATION: readonly (readonly [Table, Attack['scene']?])[] = [
  [
    {
      'F18 control: by the key that is published': [by('first'), 200],
      'F18 by one that is not published yet': [by('next'), 401, UNAUTHENTICATED],
    },
  ],
  [
    { 'F18 by the next key, half a minute after it was published': [by('next'), 200] },
    async (stage) => stage.set({ keys: 'both', laterMs: 31_000 }),
  ],
  [{ 'F18 by the old key, which is published beside it': [by('first'), 200] }],
  [
    { 'F18 by the old key, ten minutes after it was withdrawn': [by('first'), 401, UNAUTHENTICATED] },
    async (stage) => stage.set({ keys: 'second', laterMs: 601_000 }),
  ],
  [
    { 'F18 by the next key, which is the only one': [by('next'), 200] },
    async (stage) => async () => {
      await stage.set({ keys: 'first', laterMs: 601_000 });
      await until(
        () => stage.ask(by('first')(stage.cast)),
        ({ status }) => status === 200,
      );
    },
  ],
];

export const sessions: readonly Attack[] = [
  ...LOGGED_OUT,
  ...REVOKED,
  ...ROTATION.flatMap(([table, scene]) => attacks('guarded', table, scene ? { scene } : {})),
];
