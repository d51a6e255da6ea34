import { describe, expect, it } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../../commands/root.js';
import { RULES } from '../watch/queries.js';
import { blocksOf, pages, readPage } from './markdown.js';

/** A changelog names what was, the style guide what could be; every other page what is. */
const present = pages().filter((file) => !['CHANGELOG.md', 'STYLE.md'].includes(file));

it('every link of a page leads to a file, and to a heading of it, that is there', () => {
  expect(present.flatMap((file) => deadLinks(file, readPage(file)))).toEqual([]);
});

it('every file that a page names is there', () => {
  expect(present.flatMap((file) => missingFiles(file, readPage(file)))).toEqual([]);
});

it('every alert of docs/running.md is there, and every figure of ours that a page names is told by somebody', () => {
  expect(missingAlerts(readPage('docs/running.md'))).toEqual([]);
  expect(present.flatMap((file) => missingFigures(file, readPage(file)))).toEqual([]);
  // Control.
  expect(missingAlerts('`EventsWait`, `EventsWeight`')).toEqual(['EventsWeight']);
  expect(missingFigures('docs/x.md', '`tributary_ready{service}` and `tributary_steady`')).toEqual([
    'docs/x.md names tributary_steady, which nobody tells',
  ]);
});

it('the two paths name a file in every step', () => {
  for (const file of ['docs/path-of-a-query.md', 'docs/path-of-a-write.md']) {
    const steps = readPage(file)
      .split('\n')
      .filter((line) => /^\| (\d+|–) \|/.test(line));
    expect(steps.length).toBeGreaterThan(9);
    expect(steps.filter((step) => !/\]\(\.\.\/[\w./-]+\.ts\)/.test(step))).toEqual([]);
  }
});

it('every table ends where its lines end: what follows without an empty line is drawn as one of its rows', () => {
  const run = /^\|.*\|[ ]*\n(?!\||[ ]*\n).+/gm;
  expect('| a |\n|---|\n| b |\n text').toMatch(run);
  expect(present.flatMap((file) => readPage(file).match(run) ?? [])).toEqual([]);
});

it('control: a link and a name that lead nowhere are found', () => {
  const links =
    '[here](settings.md#gateway) [there](setings.md#top) [below](settings.md#gatewy) [out](https://example.org)';
  expect(deadLinks('docs/x.md', links)).toEqual([
    'docs/x.md links to setings.md, which is not there',
    'docs/x.md links to settings.md#gatewy, which is not there',
  ]);
  expect(missingFiles('docs/x.md', 'see `libs/loader/loader.ts`, `loaders.ts`, `libs/*/x.ts` and `loader.ts`')).toEqual(
    ['docs/x.md names loaders.ts, which is not there'],
  );
});

describe('the client of docs/repeating-a-mutation.md', () => {
  const page = 'docs/repeating-a-mutation.md';
  const client = blocksOf(page, readPage(page)).find(({ language }) => language === 'ts')!.text;
  const timeout = (...path: string[]) => ({ path, extensions: { code: 'SUBGRAPH_TIMEOUT' } });
  const below = { data: { follow: null }, errors: [timeout('follow', 'handle')] };
  const shown = { data: { follow: { handle: 'bob' } } };

  /** What it says in the end, and the keys that it sent, where it is given these answers in turn, and the last of them again and again. */
  async function mutated(
    code: string,
    answers: readonly object[],
    status = 200,
  ): Promise<{ said: unknown; keys: string[] }> {
    const keys: string[] = [];
    const fetched = async (_url: string, { headers }: { headers: Record<string, string> }): Promise<Response> => {
      keys.push(headers['idempotency-key']!);
      return Response.json(answers[Math.min(keys.length, answers.length) - 1], { status });
    };
    const { outputText } = ts.transpileModule(code, { compilerOptions: { target: ts.ScriptTarget.ES2022 } });
    // oxlint-disable-next-line typescript/no-implied-eval -- what the page has people copy
    const mutate = new Function('fetch', 'setTimeout', `${outputText}; return mutate;`)(fetched, setImmediate) as (
      ...what: [string, object, string]
    ) => Promise<unknown>;
    const said = await mutate('mutation { follow }', {}, 'token').catch((error: Error) => error.message);
    return { said, keys };
  }

  it('does not repeat what failed below a field, and says what is to be read; control: without a look at the path it asks five times, and says that nobody knows', async () => {
    const { said, keys } = await mutated(client, [below]);
    expect(said).toEqual({ ...below, toRead: [['follow', 'handle']] });
    expect(keys).toHaveLength(1);
    const naive = client.replace('(path?.length ?? 0) < 2 && ', '');
    expect(naive).not.toBe(client);
    const control = await mutated(naive, [below]);
    expect([control.keys.length, control.said]).toEqual([5, expect.stringContaining('nobody knows')]);
  });

  it('repeats under one key what failed at the field itself, or as a whole', async () => {
    const whole = { errors: [{ extensions: { code: 'OVERLOADED' } }] };
    const field = { data: { follow: null }, errors: [timeout('follow')] };
    const { said, keys } = await mutated(client, [whole, field, shown]);
    expect(said).toEqual({ ...shown, toRead: [] });
    expect([keys.length, new Set(keys).size]).toEqual([3, 1]);
    expect((await mutated(client, [whole], 503)).keys).toHaveLength(5);
  });

  it('repeats one field of several for itself, and one that is done and not shown not at all', async () => {
    const notShown = { path: ['like'], extensions: { code: 'DONE_NOT_SHOWN' } };
    const both = { data: { follow: null, like: null }, errors: [timeout('follow', 'handle'), timeout('like')] };
    const then = { data: { follow: { handle: 'bob' }, like: null }, errors: [notShown] };
    const { said, keys } = await mutated(client, [both, then]);
    expect([keys.length, said]).toEqual([2, { ...then, toRead: [['like']] }]);
  });
});

function deadLinks(file: string, text: string): string[] {
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .flatMap((target) => {
      const [path = '', heading] = target.split('#');
      const to = path === '' ? file : join(dirname(file), path);
      if (!existsSync(join(ROOT, to))) return [path];
      return heading === undefined || !to.endsWith('.md') || headingsOf(to, text, file).has(heading) ? [] : [target];
    })
    .map((target) => `${file} links to ${target}, which is not there`);
}

/** What a link to each heading of a page ends in, as GitHub makes it: small letters, no signs, lines for spaces. */
function headingsOf(page: string, own: string, file: string): Set<string> {
  const text = page === file ? own : readPage(page);
  return new Set(
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .trim()
        .toLowerCase()
        .replace(/[^\p{L}\p{N}_\- ]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** `EventsWait`. */
function missingAlerts(text: string): string[] {
  const named = [...text.matchAll(/`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`/g)].map(([, name = '']) => name);
  return named.filter((name) => !RULES.some(({ alert }) => alert === name));
}

/** `tributary_ready{service}`. */
function missingFigures(file: string, text: string): string[] {
  return [...text.matchAll(/`(tributary_\w+)/g)]
    .filter(([, name = '']) => !programTexts().some((source) => source.includes(`'${name}'`)))
    .map(([, name]) => `${file} names ${name}, which nobody tells`);
}

let texts: readonly string[] | undefined;
function programTexts(): readonly string[] {
  texts ??= ['gateway', 'subgraphs', 'libs'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
      .map((path) => readFileSync(join(ROOT, folder, path), 'utf8')),
  );
  return texts;
}

/** `libs/loader/loader.ts` from the root or from the page's folder; a bare `loader.ts` anywhere. */
function missingFiles(file: string, text: string): string[] {
  const prose = blocksOf(file, text).reduce((rest, block) => rest.replace(block.text, ''), text);
  return [...prose.matchAll(/`([\w.@-]+(?:\/[\w.@-]+)*\.(?:ts|mjs|md|yml|cfg|graphql))`/g)]
    .map(([, name = '']) => name)
    .filter((name) =>
      name.includes('/')
        ? ![ROOT, join(ROOT, dirname(file))].some((folder) => existsSync(join(folder, name)))
        : !names().has(name),
    )
    .map((name) => `${file} names ${name}, which is not there`);
}

let known: Set<string> | undefined;
function names(): Set<string> {
  const folders = ['gateway', 'subgraphs', 'libs', 'commands', 'test', 'deploy', 'docs', 'schema', 'examples'];
  known ??= new Set([
    ...readdirSync(ROOT),
    ...folders.flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) => basename(path)),
    ),
  ]);
  return known;
}
