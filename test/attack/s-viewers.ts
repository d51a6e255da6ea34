import { globalId, newId } from '#libs/identity';
import { canaryOf, nthOf, strangersIn } from '../federation/canaries.js';
import { signedFor } from './d-subgraphs.js';
import {
  attacks,
  bearer,
  JSON_TYPE,
  query,
  type Attack,
  type Cast,
  type Message,
  type Seen,
  type Stage,
} from './attack.js';
import { tokenOf } from './forged-tokens.js';
import { until } from './stage.js';

/** Fifty people who are known to the gateways before small graphs: id → token. */
const known = new WeakMap<Cast, ReadonlyMap<string, string>>();
function viewersOf(cast: Cast): ReadonlyMap<string, string> {
  let viewers = known.get(cast);
  if (!viewers) {
    const subjects = Array.from({ length: 50 }, () => globalId('user', newId()));
    viewers = new Map(subjects.map((sub) => [sub, tokenOf(cast, { sub })]));
    known.set(cast, viewers);
  }
  return viewers;
}

const as = (token: string | undefined, text: string, variables: object = {}): Message => ({
  headers: token === undefined ? JSON_TYPE : bearer(token),
  body: query(text, { variables }),
});

/** So many are under way at a time. */
const LANES = 40;

async function inLanes(count: number, work: (nth: number) => Promise<void>): Promise<void> {
  let turn = 0;
  const lane = async (): Promise<void> => {
    for (let nth = turn++; nth < count; nth = turn++) await work(nth);
  };
  await Promise.all(Array.from({ length: Math.min(count, LANES) }, lane));
}

/** Each person's answers have what is theirs, the same each time, and nobody else's. */
function interleaved(requests: number): Message {
  return {
    async act(stage) {
      const viewers = viewersOf(stage.cast);
      const before = await stage.counts();
      const answers = new Map<string, string>();
      let own = 0;
      await inLanes(requests, async (nth) => {
        const { viewer, query: text, variables } = nthOf(nth, [...viewers.keys()]);
        const came = await stage.ask(as(viewer === null ? undefined : viewers.get(viewer), text, variables));
        const answer = withoutIds(came.text);
        if (viewer !== null && answer.includes(canaryOf(viewer))) own += 1;
        for (const whose of strangersIn(answer, viewer)) stage.found(`${viewer} was shown what is ${whose}’s`);
        const asked = JSON.stringify([viewer, text, variables]);
        if ((answers.get(asked) ?? answer) !== answer) stage.found(`another answer than before: ${answer}`);
        answers.set(asked, answer);
      });
      if (own < requests / 2) stage.found(`only ${own} answers had what is of who asked`);
      const { calls } = await stage.counts();
      if (calls - before.calls >= requests) stage.found(`${calls - before.calls} calls: nothing was kept`);
      return stage.ask(of(0, '{me{name}}')(stage.cast));
    },
  };
}

/** Each error names its request. */
const withoutIds = (text: string): string => text.replaceAll(/"requestId":"[^"]*"/g, '');

/** All of these at once, in the order in which they are given. */
function together(stage: Stage, messages: readonly Message[]): Promise<Seen[]> {
  return Promise.all(messages.map((message) => stage.ask(message)));
}

const many = <T>(count: number, make: (nth: number) => T): T[] => Array.from({ length: count }, (_, nth) => make(nth));

/** Two hundred people ask the same at the same moment; each is told what is theirs. */
const LATE = '{late}';
const strangers: Message = {
  async act(stage) {
    const people = many(200, () => globalId('user', newId()));
    const seen = await together(
      stage,
      people.map((sub) => as(tokenOf(stage.cast, { sub }), LATE)),
    );
    for (const [nth, { text }] of seen.entries())
      if (text !== `{"data":{"late":"${canaryOf(people[nth]!)}"}}`) stage.found(`${people[nth]} was told ${text}`);
    return seen.at(-1)!;
  },
};

/** Else nothing would have been joined, and the row above shown nothing. */
const oneself: Message = {
  async act(stage) {
    const token = tokenOf(stage.cast);
    const before = await stage.counts();
    const seen = await together(
      stage,
      many(200, () => as(token, LATE)),
    );
    const { calls } = await stage.counts();
    if (calls - before.calls >= 100) stage.found(`${calls - before.calls} calls for two hundred equal reads`);
    return seen.at(-1)!;
  },
};

const counting: Message = {
  async act(stage) {
    const token = tokenOf(stage.cast);
    const seen = await together(
      stage,
      many(20, () => as(token, 'mutation{count}')),
    );
    const different = new Set(seen.map(({ text }) => text)).size;
    if (different !== 20) stage.found(`twenty mutations were ${different}`);
    return seen.at(-1)!;
  },
};

/** By the gateway of the social graph, whose services have loaders. */
const WHO = ['alice', 'bob', 'dan', 'eve'] as const;
const emails: Message = {
  async act(stage) {
    const seen = await together(
      stage,
      many(200, (nth) => as(stage.cast.people[WHO[nth % WHO.length]!].token, '{me{handle email}}')),
    );
    for (const [nth, { text }] of seen.entries()) onlyOwn(stage, WHO[nth % WHO.length]!, text);
    return seen.at(-1)!;
  },
};

/** The same behind the gateway's back, each for all of them: a loader that two requests had in common would show what it has loaded for one. */
const loaders: Message = {
  async act(stage) {
    const all = WHO.map((who) => ({ __typename: 'User', id: stage.cast.people[who].id }));
    const body = query('query($r:[_Any!]!){_entities(representations:$r){...on User{handle email}}}', {
      variables: { r: all },
    });
    const before = await stage.counts();
    const seen = await together(
      stage,
      many(40, (nth) => signedFor(stage.cast, 'users', body, WHO[nth % WHO.length]!)),
    );
    for (const [nth, { text }] of seen.entries()) onlyOwn(stage, WHO[nth % WHO.length]!, text);
    const { statements } = await stage.counts();
    const ran = statements.users - before.statements.users;
    if (ran < seen.length) stage.found(`${seen.length} requests had ${ran} statements: one had what another loaded`);
    return seen.at(-1)!;
  },
};

function onlyOwn(stage: Stage, who: (typeof WHO)[number], text: string): void {
  const shown = [...text.matchAll(/"handle":"(\w+)","email":"/g)].map(([, handle]) => handle);
  if (shown.join() !== who) stage.found(`${who} was shown the address of ${shown.join(', ') || 'nobody'}: ${text}`);
}

/** One after another, each looked at; what comes is the last. */
function inTurn(...turns: readonly (readonly [Message | ((cast: Cast) => Message), RegExp])[]): Message {
  return {
    async act(stage) {
      let seen!: Seen;
      for (const [message, says] of turns) {
        seen = await stage.ask(typeof message === 'function' ? message(stage.cast) : message);
        if (!says.test(seen.text)) stage.found(`it does not say ${String(says)}: ${seen.text.slice(0, 200)}`);
      }
      return seen;
    },
  };
}

/** The nth of the fifty. */
const of =
  (nth: number, text: string, variables: object = {}) =>
  (cast: Cast): Message =>
    as([...viewersOf(cast).values()][nth], text, variables);
const nobody = (text: string): Message => as(undefined, text);

const MIXED = '{me{name} draft{id} thing(id:"6"){title note}}';
/** Somebody is shown as much of it: theirs, and what is everybody's. */
const OWN =
  /"me":\{"name":"canary-of-(\w+)-end"\},"draft":\{"id":"draft-canary-of-\1-end"\},"thing":\{"title":"title 6","note":"canary-of-\1-end"/;
const NOBODYS = /"me":null,"draft":null,"thing":\{"title":"title 6","note":null/;

/** One person with two tokens, of which one may see more. */
const [sub, SEALED] = [globalId('user', newId()), '{thing(id:"7"){title sealed}}'];
const sealed = (scope: string | undefined) => (cast: Cast) => as(tokenOf(cast, { sub, scope }), SEALED);
const REFUSED = /"thing":\{"title":"title 7","sealed":null\}/;

/** The first time that this is asked of a thing, there is an error in the answer. */
let things = 100;
const unsteady = (name: string): Message => ({
  async act(stage) {
    const text = `{thing(id:"${(things += 1)}"){title unsteady}}`;
    const failed = await stage.ask(nobody(text));
    if (!/"title":"title \d+","unsteady":null/.test(failed.text)) stage.found(`no part was missing: ${failed.text}`);
    if (failed.headers['cache-control'] !== 'no-store')
      stage.found(`an answer with an error may be kept: ${String(failed.headers['cache-control'])}`);
    if (name === 'whole') return stage.ask(nobody(text));
    // Of somebody else, for whom nothing was joined.
    return stage.ask(of(9, text)(stage.cast));
  },
});

/** What is for a group is for no cache: two of it are told different things, and each time the service is asked. */
const grouped: Message = {
  async act(stage) {
    const text = '{thing(id:"8"){grouped}}';
    const before = await stage.counts();
    let seen!: Seen;
    for (const nth of [1, 2, 1, 2]) {
      seen = await stage.ask(of(nth, text)(stage.cast));
      const viewer = [...viewersOf(stage.cast).keys()][nth]!;
      if (!seen.text.includes(canaryOf(viewer))) stage.found(`${viewer} was told ${seen.text}`);
    }
    const { calls } = await stage.counts();
    if (calls - before.calls !== 4) stage.found(`${calls - before.calls} calls for four reads of what is not kept`);
    return seen;
  },
};

/** Warm for one who then logs out. */
let gone: Message = {};
const goneScene: NonNullable<Attack['scene']> = async (stage) => {
  const jti = newId();
  gone = as(tokenOf(stage.cast, { jti }), MIXED);
  for (let time = 0; time < 3; time += 1)
    await until(
      () => stage.ask(gone),
      ({ text }) => OWN.test(text),
    );
  await stage.set({ ended: [jti] });
  await until(
    () => stage.ask(gone),
    ({ status }) => status === 401,
  );
};

/** Behind each other, as the address of one person is asked for by others before and after; the cache of users is warm. */
const ADDRESS = '{userByHandle(handle:"alice"){handle email}}';
const asWho = (who: (typeof WHO)[number] | undefined) => (cast: Cast) => as(who && cast.people[who].token, ADDRESS);
const [SHOWN, WITHHELD] = [/"email":"[^"]+@/, /"email":null/];

/** What of one person is different for each who looks, by all of them in turn, cold and warm: the same each time, and nothing for nobody. */
const DIFFERENT =
  '{userByHandle(handle:"dan"){viewerFollows followsViewer viewerBlocks posts(first:5){edges{node{id viewerHasLiked}}}}}';
const lookers: Message = {
  async act(stage) {
    const answers = new Map<string, string>();
    let seen!: Seen;
    for (const who of [
      undefined,
      'alice',
      'eve',
      'bob',
      undefined,
      'dan',
      'eve',
      'alice',
      'bob',
      'dan',
      undefined,
    ] as const) {
      seen = await stage.ask(as(who && stage.cast.people[who].token, DIFFERENT));
      const before = answers.get(who ?? '') ?? seen.text;
      if (before !== seen.text) stage.found(`${who} was told ${before}, and then ${seen.text}`);
      answers.set(who ?? '', seen.text);
    }
    const { '': nobodys = '', eve = '', ...others } = Object.fromEntries(answers);
    if (/"(viewerFollows|followsViewer|viewerBlocks|viewerHasLiked)":(?!null)/.test(nobodys))
      stage.found(`nobody was told ${nobodys}`);
    // Dan blocks her.
    if (!eve.includes('"edges":[]')) stage.found(`eve was told ${eve}`);
    for (const [who, text] of Object.entries(others))
      if (/":null/.test(text) || text.includes('"edges":[]')) stage.found(`${who} was told ${text}`);
    return seen;
  },
};

export interface ViewerSizes {
  /** How many requests of fifty people are mixed (S18). */
  readonly interleaved: number;
}

export function viewers({ interleaved: requests }: ViewerSizes): readonly Attack[] {
  return [
    ...attacks('private', {
      [`S18 ${requests.toLocaleString('en')} requests of fifty people, mixed`]: [interleaved(requests), 200],
      'S18 nobody, after two who were shown what is theirs': [
        inTurn([of(1, MIXED), OWN], [of(1, MIXED), OWN], [of(2, MIXED), OWN], [nobody(MIXED), NOBODYS]),
        200,
      ],
      'S18 somebody, after nobody and another': [
        inTurn([nobody(MIXED), NOBODYS], [of(3, MIXED), OWN], [nobody(MIXED), NOBODYS], [of(4, MIXED), OWN]),
        200,
        { headers: { 'cache-control': /private/, vary: /authorization/i } },
      ],
      'S18 one who may see less than a moment ago': [
        inTurn(
          [sealed('read:sealed'), /"sealed":"sealed 7"/],
          [sealed('read:sealed'), /"sealed":"sealed 7"/],
          [sealed(undefined), REFUSED],
        ),
        200,
        { code: 'UNAUTHORIZED_FIELD_OR_TYPE', ran: true, hides: /sealed 7/ },
      ],
      'S18 one who may see more': [
        inTurn([sealed('other'), REFUSED], [sealed('read:sealed'), /"sealed":"sealed 7"/]),
        200,
      ],
      'S18 what had an error, once more': [unsteady('whole'), 200, { says: /"unsteady":"steady \d+"/ }],
      'S18 what had an error, by somebody else': [unsteady('another'), 200, { says: /"unsteady":"steady \d+"/ }],
      'S18 what is for a group, whatever that is': [grouped, 200],
    }),
    ...attacks(
      'private',
      {
        'S18 one who has logged out, of what was kept for them': [
          () => gone,
          401,
          { code: 'UNAUTHENTICATED', hides: /canary/ },
        ],
      },
      { scene: goneScene },
    ),
    ...attacks('social', {
      'S18 an e-mail address, by nobody, others and its owner in turn': [
        inTurn(
          [asWho(undefined), WITHHELD],
          [asWho('bob'), WITHHELD],
          [asWho('alice'), SHOWN],
          [asWho('bob'), WITHHELD],
          [asWho(undefined), WITHHELD],
          [asWho('alice'), SHOWN],
        ),
        200,
      ],
    }),
    ...attacks('social', { 'S18 what is different for each who looks, by all of them in turn': [lookers, 200] }),
    ...attacks('private', {
      'S19 two hundred people who ask the same at once': [strangers, 200],
      'S19 control: one who asks it two hundred times is joined': [oneself, 200],
      'S19 twenty equal mutations of one person at once': [counting, 200],
    }),
    ...attacks('social', { 'S19 two hundred questions for one’s own address at once': [emails, 200] }),
    ...attacks('users', { 'S19 forty calls at once for the addresses of four': [loaders, 200] }),
  ];
}
