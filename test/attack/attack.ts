/**
 * What stands at the other end: four gateways before the tiny graph, one that keeps what many viewers ask for, one before fields that not
 * everybody may see, the social graph, and its subgraphs reached directly.
 */
export type Target =
  'gateway' | 'open' | 'metered' | 'crowded' | 'private' | 'guarded' | 'social' | 'users' | 'posts' | 'followers';

export function isSubgraph(to: Target): to is 'users' | 'posts' | 'followers' {
  return to === 'users' || to === 'posts' || to === 'followers';
}

/** A request as it is written, by a client that sends what it is told and adds nothing. */
export interface Message {
  readonly method?: string;
  readonly path?: string;
  /** Instead of `content-type: application/json`. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Buffer | undefined;
  /**
   * Instead of all that: these bytes on a socket, each as one character. `every`: they go one after another, so many ms apart. `unreadMs`:
   * nothing is read for so long, and answers that are not all whole then are as good as none.
   */
  readonly bytes?: string | Bytes;
  /** Instead of all that: many at once. */
  readonly crowd?: Crowd;
  /** Instead of all that: several messages, one after another or at once; what it answers is what came. */
  readonly act?: (stage: Stage) => Promise<Seen>;
  /** The address of this machine that it comes from. */
  readonly from?: string;
}

export interface Bytes {
  readonly parts: readonly string[];
  readonly every: number;
  readonly unreadMs?: number;
  /** When all has been said: `half` is closed, and the answer waited for; or the connection is `reset`. */
  readonly goes?: 'half' | 'reset';
}

/** What an attack that is more than one message has to do with. */
export interface Stage {
  readonly cast: Cast;
  readonly urls: Readonly<Record<Target, string>>;
  /** One message; unless it says to whom, to whom the attack goes. Its answer is held to what holds for every answer. */
  ask(message: Message, to?: Target): Promise<Seen>;
  /** Changes what is around the programs. */
  set(around: Around): Promise<void>;
  /** What services were asked and did since they started. */
  counts(): Promise<Counts>;
  /** How passwords are kept: their hashes, up to the salt. */
  passwords(): Promise<readonly string[]>;
  /** This is wrong besides. */
  found(wrong: string): void;
}

/** What it does not say stays as it is. */
export interface Around {
  /** Whose keys the issuer publishes of whom `guarded` knows who asks. */
  readonly keys?: 'first' | 'both' | 'second';
  /** The clock of `guarded` is put forward. */
  readonly laterMs?: number;
  /** Log-ins (`jti`) of which `private` is told that they have ended. */
  readonly ended?: readonly string[];
}

export interface Counts {
  /** How often a gateway has asked one of its services. */
  readonly calls: number;
  /** SQL statements of the social graph's services, which are attacked behind their gateway's back, too. */
  readonly statements: Readonly<Record<'users' | 'posts' | 'followers', number>>;
}

/** Connections of clients that read and heed no goodbye: what comes is the answer to an ordinary question that is asked at last. */
export interface Crowd {
  readonly connections: number;
  /** All that each says. */
  readonly says?: string;
  /** What the first, second, … of them says when all have been answered that: it lies ready at once. */
  readonly atOnce?: (nth: number) => string;
  /** Held for so long. */
  readonly ms: number;
  /** Ordinary questions are asked meanwhile; one that fails is what comes. */
  readonly beside?: boolean;
}

export interface Seen {
  /** 0: the connection was closed without an answer, or in the middle of one that was to be whole. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
  /** How long ordinary questions took, all but one of a hundred: without a crowd and beside it. */
  readonly p99Ms?: { readonly alone: number; readonly beside: number };
  /** What is wrong with the answers before it, */
  readonly wrong?: readonly string[];
  /** and what is so only by their times: that counts where it is asked how long things take. */
  readonly late?: readonly string[];
}

export interface Expected {
  readonly status: number | readonly number[];
  /** Of the first error. */
  readonly code?: string | readonly string[];
  /** The answer has it, */
  readonly says?: RegExp;
  /** and it has not. */
  readonly hides?: RegExp;
  /** Headers of the answer; null: absent. */
  readonly headers?: Readonly<Record<string, RegExp | null>>;
  /** Errors of fields: something was asked of a subgraph, and the answer is 200. */
  readonly ran?: boolean;
  /** However it is answered, nobody was asked for it: no service by the gateway, no database by a service. */
  readonly unasked?: boolean;
  /** It has no more errors, */
  readonly errorsMax?: number;
  /** and no more bytes. */
  readonly bytesMax?: number;
  /** Where it is asked how long things take: it is answered so soon, */
  readonly withinMs?: number;
  /** and the event loop was blocked no longer. */
  readonly blockedMs?: number;
}

/** Who and what an attack may need: made when the programs start. */
export interface Cast {
  /** Signs for `gateway`: the private key (PKCS #8, PEM), its public half and what tokens have to say. */
  readonly signing: {
    readonly pem: string;
    readonly publicX: string;
    readonly kid: string;
    readonly issuer: string;
    readonly audience: string;
    /** The key that comes after it. */
    readonly next: { readonly pem: string; readonly kid: string };
  };
  /** The supergraph that `guarded` serves, and the file that it looks at again and again. */
  readonly guarded: { readonly file: string; readonly sdl: string };
  /** People of the social graph. Dan blocks eve. */
  readonly people: Readonly<Record<'alice' | 'bob' | 'dan' | 'eve', { readonly id: string; readonly token: string }>>;
  /** A post of his. */
  readonly dansPost: string;
  /** What the social graph's gateway shares with each subgraph. */
  readonly secrets: Readonly<Record<'users' | 'posts' | 'followers', string>>;
}

/** `turn`: 1, 2, … of a row that is repeated. */
export type Send = Message | ((cast: Cast, turn: number) => Message);

export interface Attack {
  /** Letter and number in the table of attacks (A1 … H5), of threats (S1 … S32), or of our own (X…). */
  readonly id: string;
  readonly what: string;
  readonly to: Target;
  readonly send: Send;
  readonly come: Expected;
  /** It is sent so many times, and only what comes then is looked at. */
  readonly repeat?: number;
  /** Takes so long that it runs beside all others. */
  readonly slow?: boolean;
  /** What is so while it is sent; answers how that ends. */
  readonly scene?: (stage: Stage) => Promise<(() => Promise<void>) | void>;
}

/** Name → what is sent, the status, and the code when there is one. A name begins with its id. */
export type Table = Readonly<
  Record<string, readonly [Send, number | readonly number[], (string | Partial<Expected>)?]>
>;

export function attacks(to: Target, table: Table, more: Partial<Attack> = {}): Attack[] {
  return Object.entries(table).map(([name, [send, status, rest]]) => {
    const space = name.indexOf(' ');
    const come: Expected = { status, ...(typeof rest === 'string' ? { code: rest } : rest) };
    return { id: name.slice(0, space), what: name.slice(space + 1), to, send, come, ...more };
  });
}

export const JSON_TYPE = { 'content-type': 'application/json' } as const;
export const bearer = (token: string): Readonly<Record<string, string>> => ({
  ...JSON_TYPE,
  authorization: `Bearer ${token}`,
});
/** A browser asks first before it sends this. */
export const PREFLIGHT = { 'apollo-require-preflight': '1' } as const;

export const query = (text: string, more: object = {}): string => JSON.stringify({ query: text, ...more });
export const asks = (text: string, more: object = {}): Message => ({ body: query(text, more) });
/** A text as a part of a pattern that means just that. */
export const literally = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
/** `count` aliases of one field. */
export const al = (count: number, field: string): string => times(count, (index) => `a${index}:${field}`);
export const times = (count: number, make: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => make(index)).join(' ');
/** A field, `levels` fields below its root field. */
export const nest = (levels: number): string => `me{${'friends{'.repeat(levels)}id${'}'.repeat(levels)}}`;
export const lists = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
/** `levels` fragments, each spreading the next twice: 2^levels ids. */
export const fragmentBomb = (levels: number, operation = ''): string =>
  `${operation}{me{...B0}} ${times(levels, (index) => `fragment B${index} on Person{...B${index + 1} ...B${index + 1}}`)} fragment B${levels} on Person{id}`;
