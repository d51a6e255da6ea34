import { expect, it } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
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
