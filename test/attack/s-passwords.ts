import { asks, attacks, JSON_TYPE, query, type Attack, type Message, type Seen, type Stage } from './attack.js';
import { signedFor } from './d-subgraphs.js';
import { p99, quantile } from './crowd.js';
import { sameWork } from './stage.js';

const INPUT = { code: 'BAD_USER_INPUT', ran: true };
const LOG_IN = 'mutation($i:LogInInput!){logIn(input:$i){token}}';
const SIGN_UP = 'mutation($i:SignUpInput!){signUp(input:$i){user{handle}}}';

const card = (password: string): object => ({
  i: { handle: 'mallory_21', email: 'm@example.org', password, displayName: 'M' },
});

/** Each by another client, since one may try ten times a minute. */
let clients = 0;
function tries(handle: string): Message {
  clients += 1;
  return {
    headers: { ...JSON_TYPE, 'x-forwarded-for': `10.21.${clients >> 8}.${clients & 255}` },
    body: query(LOG_IN, { variables: { i: { handle, password: 'wrong horse' } } }),
  };
}

/** How OWASP has it: argon2id, 19 MiB, twice, one lane. Of everybody who is there, and of whoever has just signed up. */
const KEPT = '$argon2id$v=19$m=19456,t=2,p=1$';
const kept: Message = {
  async act(stage) {
    const seen = await stage.ask(asks(SIGN_UP, { variables: card('correct horse') }));
    const ways = await stage.passwords();
    if (ways.join() !== KEPT) stage.found(`passwords are kept as ${ways.join(', ')}`);
    return seen;
  },
};

/** While two hundred try to log in, most of whom are turned away, others who only read wait no longer than after any attack. */
const READ_MS = 250;
const logIns: Message = {
  async act(stage) {
    let under = 200;
    const wrong = Array.from({ length: under }, async (_, nth) => {
      const seen = await stage.ask(tries(`nobody_${nth}`));
      under -= 1;
      return seen;
    });
    const took: number[] = [];
    let read!: Seen;
    while (under > 0) {
      const began = performance.now();
      read = await stage.ask(asks('{users(first:5){edges{node{handle}}}}'));
      took.push(performance.now() - began);
    }
    for (const { text } of await Promise.all(wrong))
      if (!/"(UNAUTHENTICATED|OVERLOADED)"/.test(text)) stage.found(`a log-in was answered ${text}`);
    if (took.length < 5) stage.found(`only ${took.length} questions were asked meanwhile`);
    const longest = p99(took);
    return longest <= READ_MS ? read : { ...read, late: [`a question waited ${longest.toFixed(0)} ms for log-ins`] };
  },
};

/** A wrong password, and nobody at all: the same answer for the same work. */
const alike: Message = {
  async act(stage) {
    const asking = (handle: string) => () => stage.ask(tries(handle));
    const [, other] = await sameWork(stage, { one: asking('carol'), other: asking('carok') });
    return other;
  },
};

/** How much longer who is there may take than who is not. */
const RATIO_MAX = 1.1;
/** As who listens from afar does: of the quickest the least is the machine's, the network's and other people's doing. */
const QUICK = 0.1;

/** A handle may be tried a hundred times a minute, by all together. */
const TRIES_OF_ONE = 40;

/** So many tries of each, in turn: what the machine does beside them both have alike. */
function timed(samples: number): Message {
  return {
    async act(stage) {
      const handles = await newPeople(stage, Math.ceil(samples / TRIES_OF_ONE));
      const times: Record<'there' | 'absent', number[]> = { there: [], absent: [] };
      let seen!: Seen;
      const one = async (whose: keyof typeof times, handle: string): Promise<void> => {
        const began = performance.now();
        seen = await stage.ask(tries(handle));
        times[whose].push(performance.now() - began);
      };
      for (let nth = 0; nth < samples; nth += 1) {
        const handle = handles[nth % handles.length]!;
        // First the one, then the other: neither is always behind the other.
        if (nth % 2 === 0) await one('there', handle);
        await one('absent', handle.replace('there', 'where'));
        if (nth % 2 === 1) await one('there', handle);
      }
      const ratio = quantile(times.there, QUICK) / quantile(times.absent, QUICK);
      if (Math.max(ratio, 1 / ratio) <= RATIO_MAX) return seen;
      return { ...seen, late: [`who is there takes ${ratio.toFixed(2)} times as long as who is not`] };
    },
  };
}

let people = 0;
/** Their handles. */
function newPeople(stage: Stage, count: number): Promise<string[]> {
  const one = async (): Promise<string> => {
    const handle = `there_${(people += 1)}`;
    const i = { handle, email: 'm@example.org', password: 'correct horse', displayName: 'M' };
    const { text } = await stage.ask({ ...tries(handle), body: query(SIGN_UP, { variables: { i } }) });
    if (!text.includes(`"${handle}"`)) throw new Error(`nobody could sign up: ${text}`);
    return handle;
  };
  return Promise.all(Array.from({ length: count }, one));
}

export interface PasswordSizes {
  /** Tries of each kind that are timed (S21). */
  readonly tries: number;
}

export function passwords({ tries: samples }: PasswordSizes): readonly Attack[] {
  const refused = { code: 'UNAUTHENTICATED', ran: true };
  return [
    ...attacks('social', {
      'S21 a password that was just chosen, and all others, as they are kept': [
        kept,
        200,
        { says: /"handle":"mallory_21"/ },
      ],
      'S21 a password of 7 characters': [asks(SIGN_UP, { variables: card('x'.repeat(7)) }), 200, INPUT],
      'S21 a password of 129 characters': [asks(SIGN_UP, { variables: card('x'.repeat(129)) }), 200, INPUT],
      'S21 a password of 60 KB, to log in with': [
        asks(LOG_IN, { variables: { i: { handle: 'alice', password: 'x'.repeat(60_000) } } }),
        200,
        INPUT,
      ],
      'S21 a password of 70 KB': [asks(SIGN_UP, { variables: card('x'.repeat(70_000)) }), 400, 'BAD_USER_INPUT'],
      'S21 a password of 1 MB': [asks(SIGN_UP, { variables: card('x'.repeat(1_000_000)) }), 413, 'BAD_REQUEST'],
    }),
    ...attacks('users', {
      'S21 a password of 1 MB, past the gateway': [
        (cast) => signedFor(cast, 'users', query(SIGN_UP, { variables: card('x'.repeat(1_000_000)) })),
        200,
        { ...INPUT, unasked: true },
      ],
    }),
    ...attacks('social', {
      'S21 a question of others, beside two hundred log-ins at once': [logIns, 200],
      'S21 a wrong password, and then that of nobody': [alike, 200, refused],
      [`S21 ${samples} wrong passwords, and ${samples} of nobody, by turns`]: [timed(samples), 200, refused],
    }),
  ];
}
