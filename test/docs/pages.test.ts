import { expect, it } from '@jest/globals';
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ROOT } from '../../commands/root.js';
import { blocksOf, pages, readPage } from './markdown.js';

/** A changelog names what was, the style guide what could be; every other page what is. */
const present = pages().filter((file) => !['CHANGELOG.md', 'STYLE.md'].includes(file));

it('every link of a page leads to a file that is there', () => {
  expect(present.flatMap((file) => deadLinks(file, readPage(file)))).toEqual([]);
});

it('every file that a page names is there', () => {
  expect(present.flatMap((file) => missingFiles(file, readPage(file)))).toEqual([]);
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
  expect(deadLinks('docs/x.md', '[here](settings.md) [there](setings.md#top) [out](https://example.org)')).toEqual([
    'docs/x.md links to setings.md, which is not there',
  ]);
  expect(missingFiles('docs/x.md', 'see `libs/loader/loader.ts`, `loaders.ts`, `libs/*/x.ts` and `loader.ts`')).toEqual(
    ['docs/x.md names loaders.ts, which is not there'],
  );
});

function deadLinks(file: string, text: string): string[] {
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target.split('#')[0] ?? '')
    .filter((target) => target !== '' && !/^[a-z]+:/.test(target))
    .filter((target) => !existsSync(join(ROOT, dirname(file), target)))
    .map((target) => `${file} links to ${target}, which is not there`);
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
