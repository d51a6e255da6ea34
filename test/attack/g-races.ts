import { globalId, newId } from '#libs/identity';
import { attacks, type Attack, type Cast, type Message, type Seen, type Stage } from './attack.js';
import { by, nobody } from './g-abuse.js';
import { sameWork, until } from './stage.js';

type Who = keyof Cast['people'];
const ask = (stage: Stage, who: Who, text: string, variables: object = {}): Promise<Seen> =>
  stage.ask(by(who, text, variables)(stage.cast));
const found = ({ text }: Seen, pattern: RegExp): string => {
  const [, part] = pattern.exec(text) ?? [];
  if (part === undefined) throw new Error(`there is no ${String(pattern)} in ${text.slice(0, 200)}`);
  return part;
};

const FOLLOW = 'mutation($i:ID!){follow(userId:$i){viewerFollows}}';
const followedAtOnce: Message = {
  async act(stage) {
    const i = found(await ask(stage, 'bob', '{userByHandle(handle:"carol"){id}}'), /"id":"(\w+)"/);
    await ask(stage, 'bob', 'mutation($i:ID!){unfollow(userId:$i){id}}', { i });
    const all = await Promise.all(Array.from({ length: 50 }, () => ask(stage, 'bob', FOLLOW, { i })));
    for (const { text } of all)
      if (text !== '{"data":{"follow":{"viewerFollows":true}}}') stage.found(`it was answered ${text}`);
    const seen = await ask(stage, 'bob', '{userByHandle(handle:"carol"){followers(first:100){edges{node{handle}}}}}');
    const times = seen.text.split('"bob"').length - 1;
    if (times !== 1) stage.found(`bob follows carol ${times} times`);
    return seen;
  },
};

/** Whoever has gone is nobody to follow. */
let leavers = 0;
const followedGone: Message = {
  async act(stage) {
    const i = {
      handle: `leaver_${(leavers += 1)}`,
      email: 'l@example.org',
      password: 'correct horse',
      displayName: 'L',
    };
    const signUp = nobody('mutation($i:SignUpInput!){signUp(input:$i){token user{id}}}', { i });
    const session = await stage.ask(signUp);
    const [id, token] = [found(session, /"id":"(\w+)"/), found(session, /"token":"([^"]+)"/)];
    const leave = nobody('mutation{deleteAccount(input:{password:"correct horse"}){id}}');
    await stage.ask({ ...leave, headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` } });
    return until(
      () => ask(stage, 'alice', FOLLOW, { i: id }),
      ({ text }) => text.includes('"NOT_FOUND"'),
    );
  },
};

/** What one may not see costs its services what is not there costs them: neither by words nor by work are they told apart. */
function alike(text: string): Message {
  return {
    async act(stage) {
      const asking = (i: string) => () => ask(stage, 'eve', text, { i });
      const [hidden, absent] = [asking(stage.cast.dansPost), asking(globalId('post', newId()))];
      // What a cache learns of each the first time it knows the second.
      for (const first of [hidden, absent]) await first();
      const [, other] = await sameWork(stage, { one: hidden, other: absent });
      return other;
    },
  };
}

/** A cursor of people as it was given, changed. */
const CHANGES: Readonly<Record<string, (cursor: string) => string>> = {
  'cut short': (cursor) => cursor.slice(0, -3),
  'with more behind it': (cursor) => `${cursor}AAAA`,
  'in another spelling': (cursor) => `${cursor}=`,
  'with a letter turned round': (cursor) => cursor[0]!.toLowerCase() + cursor.slice(1),
  'that names no place': () => written(['nowhere']),
  'that names two places': (cursor) => written([...partsOf(cursor), ...partsOf(cursor)]),
  'that is SQL': () => written(["' OR 1=1 --"]),
  'that is an object': () => Buffer.from('{"0":"a"}').toString('base64url'),
};
const written = (parts: readonly string[]): string => Buffer.from(JSON.stringify(parts)).toString('base64url');
const partsOf = (cursor: string): string[] => JSON.parse(Buffer.from(cursor, 'base64url').toString()) as string[];

const changed = (change: (cursor: string) => string): Message => ({
  async act(stage) {
    const cursor = found(await ask(stage, 'alice', '{users(first:1){pageInfo{endCursor}}}'), /"endCursor":"([^"]+)"/);
    const page = 'query($a:String){users(first:2,after:$a){edges{node{id}}}}';
    // Control: as it was given it is taken.
    found(await ask(stage, 'alice', page, { a: cursor }), /^(\{"data":\{"users":\{"edges":\[\{)/);
    return ask(stage, 'alice', page, { a: change(cursor) });
  },
});

/** The cursor of one list, in another: `of` and `as` are asked by different people where the list is one person's. */
const elsewhere = (of: string, to: string, who: readonly [Who, Who] = ['alice', 'alice']): Message => ({
  async act(stage) {
    const given = await ask(stage, who[0], `{${of.replace('$p', 'first:1')}{pageInfo{endCursor}}}`);
    const cursor = found(given, /"endCursor":"([^"]+)"/);
    return ask(stage, who[1], `query($a:String){${to.replace('$p', 'first:2,after:$a')}{pageInfo{endCursor}}}`, {
      a: cursor,
    });
  },
});
const PEOPLE = 'users($p)';
const TIMELINE = 'homeTimeline($p)';

const INPUT = { code: 'BAD_USER_INPUT', ran: true };

export const races: readonly Attack[] = attacks('social', {
  'G3 a post that one may not see, and one that is not there': [
    alike('query($i:ID!){post(id:$i){body}}'),
    200,
    { says: /^\{"data":\{"post":null\}\}$/ },
  ],
  'G3 a like of the one, and of the other': [
    alike('mutation($i:ID!){likePost(postId:$i){id}}'),
    200,
    { code: 'NOT_FOUND', ran: true },
  ],
  'G4 one is followed fifty times at once': [followedAtOnce, 200],
  'G4 somebody who has gone is followed': [followedGone, 200, { code: 'NOT_FOUND', ran: true }],
  ...Object.fromEntries(
    Object.entries(CHANGES).map(([what, change]) => [`G6 a cursor ${what}`, [changed(change), 200, INPUT] as const]),
  ),
  'G6 a cursor of another person’s timeline': [elsewhere(TIMELINE, TIMELINE, ['alice', 'eve']), 200, INPUT],
  'G6 a cursor of people, in a timeline': [elsewhere(PEOPLE, TIMELINE), 200, INPUT],
  'G6 a cursor of a timeline, among people': [elsewhere(TIMELINE, PEOPLE), 200, INPUT],
});
