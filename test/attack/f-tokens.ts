import { attacks, JSON_TYPE, query, type Attack, type Cast, type Message, type Table } from './attack.js';
import { exemplar, forgedTokens, privateKeyOf } from './forged-tokens.js';

const BODY = query('{me{id}}');
const UNAUTHENTICATED = { code: 'UNAUTHENTICATED', headers: { 'www-authenticate': /^Bearer / } };

const made = new WeakMap<Cast, ReturnType<typeof forgedTokens>>();
function tokens(cast: Cast): ReturnType<typeof forgedTokens> {
  let found = made.get(cast);
  if (!found) {
    const { pem, ...rest } = cast.signing;
    found = forgedTokens({ ...rest, key: privateKeyOf(pem), now: Math.floor(Date.now() / 1_000) });
    made.set(cast, found);
  }
  return found;
}

const bearing = (authorization: string | readonly string[]): Message => ({
  headers: { ...JSON_TYPE, authorization },
  body: BODY,
});

/** Only for the names and how many there are; each row makes its own with the key of the gateway that it is sent to. */
const rows = forgedTokens(exemplar()).forged;

const FORGED: readonly Attack[] = rows.map(([id, what], index) => ({
  id,
  what,
  to: 'gateway',
  send: (cast) => bearing(`Bearer ${tokens(cast).forged[index]![2]}`),
  // Neither two billion rounds nor a bomb of zeros is begun with.
  come: { status: 401, ...UNAUTHENTICATED, ...(id === 'F17' ? { withinMs: 10 } : {}) },
}));

const HEADERS: Table = {
  'F0 control: the token that all others differ from': [(cast) => bearing(`Bearer ${tokens(cast).good}`), 200],
  'F11 nothing': [bearing(''), 401, UNAUTHENTICATED],
  'F11 only the word': [bearing('Bearer'), 401, UNAUTHENTICATED],
  'F11 Bearer twice': [(cast) => bearing(`Bearer Bearer ${tokens(cast).good}`), 401, UNAUTHENTICATED],
  'F11 two of them': [
    (cast) => bearing([`Bearer ${tokens(cast).good}`, `Bearer ${tokens(cast).good}`]),
    401,
    UNAUTHENTICATED,
  ],
  'F11 another scheme': [bearing(`Basic ${Buffer.from('alice:tributary').toString('base64')}`), 401, UNAUTHENTICATED],
  'F11 64 KB': [bearing(`Bearer ${'x'.repeat(65_536)}`), 431, 'BAD_REQUEST'],
  'F11 8 KB': [bearing(`Bearer ${'x'.repeat(8_192)}`), 401, UNAUTHENTICATED],
  'F20 a token in the address': [{ path: '?access_token=x', body: BODY }, 400, 'BAD_REQUEST'],
  'F20 a token in the address, in capitals': [{ path: '?Authorization=Bearer+x', body: BODY }, 400, 'BAD_REQUEST'],
};

export const tokenRows: readonly Attack[] = [...FORGED, ...attacks('gateway', HEADERS)];
