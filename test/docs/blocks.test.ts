import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ROOT } from '../../commands/root.js';
import { PASSWORD } from '../people.js';
import { withServer } from '../servers/needs.js';
import { startWorld, type World } from '../world.js';
import { blocksOf, pages, readPage, type Block } from './markdown.js';
import { ELSEWHERE, TRIALS, type Trial } from './shell.js';
import { typeErrors } from './typescript.js';

/** Every block of every page that a reader may copy is carried out. `examples/` is: test/journeys/examples.test.ts. */
const blocks = pages().flatMap((file) => blocksOf(file, readPage(file)));
const inLanguage = (language: string): Block[] => blocks.filter((block) => block.language === language);
const placeOf = ({ file, line }: Block): string => `${file}:${line}`;

/** For the variables of `graphql` blocks, by name. */
const VARIABLES: Readonly<Record<string, unknown>> = { handle: 'alice', first: 10 };

/** What the `ts` blocks of a page take for granted. */
const GIVEN: Readonly<Record<string, string>> = {
  'libs/outbox/README.md': `
    import type { Database, Tx } from '#libs/database';
    import { LISTENERS, type DomainEvent } from '#libs/events';
    import { consume, openStream, recordEvent, Relay } from '#libs/outbox';
    import type { Logger } from '#libs/telemetry';
    declare const database: Database, logger: Logger, redisUrl: string | undefined;
    declare const userId: string, handle: string, previousHandle: string;
    declare const renameUser: (tx: Tx, userId: string, handle: string) => Promise<number>;
    declare const userDeleted: (tx: Tx, event: DomainEvent<'user-deleted'>) => Promise<void>;`,
};

it('somebody carries out every block', () => {
  expect(blocks.flatMap(unknown)).toEqual([]);
  const first = new Set(inLanguage('sh').map(firstLine));
  expect(Object.keys(TRIALS).filter((line) => !first.has(line))).toEqual([]);
  for (const { by, saying } of Object.values(ELSEWHERE)) expect(readFileSync(join(ROOT, by), 'utf8')).toContain(saying);
});

it('control: a block that nobody carries out is told with what to do', () => {
  const page = ['# x', '```sh', 'npm ci && npm start', 'npm run nothing', '```', '```python', 'print()', '```'].join(
    '\n',
  );
  expect(blocksOf('docs/x.md', page).flatMap(unknown)).toEqual([
    'docs/x.md:2: nobody runs `npm run nothing`; put it into test/docs/shell.ts',
    'docs/x.md:6: nobody runs python; make it graphql, sql, sh, ts or yaml, or teach test/docs/blocks.test.ts',
  ]);
});

describe('sh', () => {
  for (const block of inLanguage('sh')) {
    const trial = TRIALS[firstLine(block)];
    if (trial === undefined) continue;
    if (trial.needs) withServer(trial.needs, placeOf(block), (...urls) => tried(block, trial, urls));
    else tried(block, trial, []);
  }
});

function tried(block: Block, trial: Trial, urls: readonly string[]): void {
  it(`${placeOf(block)} does what its page says`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tributary-docs-'));
    try {
      await trial.run(block.text, folder, ...urls);
    } finally {
      await rm(folder, { recursive: true });
    }
  }, 300_000);
}

describe('ts', () => {
  it('is what the compiler takes, and a mistake in it is not', () => {
    const [one] = inLanguage('ts');
    const planted = { ...one!, file: 'planted', text: `${one!.text}\nconst wrong: number = 'text';` };
    const errors = typeErrors([...inLanguage('ts'), planted], GIVEN);
    expect(errors).toEqual([expect.stringMatching(/^planted:\d+: Type 'string' is not assignable to type 'number'/)]);
  }, 120_000);
});

describe('yaml', () => {
  interface Composed {
    readonly services: Readonly<Record<string, { readonly networks: readonly string[] }>>;
    readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
  }
  it.each(inLanguage('yaml').map((block) => [placeOf(block), block] as const))(
    '%s is for beside docker-compose.yml: Prometheus reaches what it adds, and that reaches the world',
    (_, block) => {
      const own = parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8'), { merge: true }) as Composed;
      const { services, networks } = parse(block.text) as Composed;
      const all = { ...own.networks, ...networks };
      for (const [name, { networks: on }] of Object.entries(services)) {
        expect([name, on.filter((network) => all[network] === undefined)]).toEqual([name, []]);
        expect(on.filter((network) => own.services['prometheus']!.networks.includes(network))).toEqual(['figures']);
        expect(on.filter((network) => all[network]!.internal !== true)).toHaveLength(1);
      }
    },
  );
});

describe('graphql and sql', () => {
  let world: World;
  let authorization: string;
  beforeAll(async () => {
    world = await startWorld({ SEED: 'demo' });
    const logIn = readFileSync(join(ROOT, 'examples/log-in.graphql'), 'utf8');
    const { data } = await world.ask(logIn, { input: { handle: 'bob', password: PASSWORD } });
    authorization = `Bearer ${(data!['logIn'] as { token: string }).token}`;
  }, 180_000);
  afterAll(() => world?.close());

  it.each(inLanguage('graphql').map((block) => [placeOf(block), block] as const))(
    '%s is answered',
    async (_, block) => {
      const { data, errors } = await world.ask(block.text, VARIABLES, { authorization });
      expect(errors).toEqual([]);
      expect(Object.values(data ?? {}).filter((value) => value === null)).toEqual([]);
    },
  );

  it.each(inLanguage('sql').map((block) => [placeOf(block), block] as const))(
    '%s works in each service, or in the one that it names',
    async (_, block) => {
      const only = /^-- (\w+)$/m.exec(firstLine(block))?.[1];
      const meant = world.subgraphs.filter(({ name }) => only === undefined || name === only);
      expect(meant).not.toEqual([]);
      for (const { database } of meant) await database.query(block.text);
    },
  );
});

function firstLine({ text }: Block): string {
  return text.split('\n')[0] ?? '';
}

/** What is wrong with a block that nothing here carries out. */
function unknown(block: Block): string[] {
  const { language, text } = block;
  // A picture.
  if (language === '' || ['graphql', 'sql', 'ts', 'yaml'].includes(language)) return [];
  if (language !== 'sh') {
    return [
      `${placeOf(block)}: nobody runs ${language}; make it graphql, sql, sh, ts or yaml, or teach test/docs/blocks.test.ts`,
    ];
  }
  if (TRIALS[firstLine(block)] !== undefined) return [];
  const lines = text.split('\n').map((line) => line.replace(/\s+# .*$/, '').trim());
  return lines
    .filter((line) => line !== '' && !Object.hasOwn(ELSEWHERE, line))
    .map((line) => `${placeOf(block)}: nobody runs \`${line}\`; put it into test/docs/shell.ts`);
}
