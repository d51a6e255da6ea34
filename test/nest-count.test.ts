import { expect, it } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Loading Nest costs a test file two seconds before its first test; what needs no framework is tested without one. */
const NEST_FILES_MAX = 60;

it('Nest is loaded by few of the test files', () => {
  const tests = ['gateway', 'subgraphs', 'libs', 'commands', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.test.ts'))
      .map((file) => join(folder, file)),
  );
  const withNest = tests.filter((test) => loads(test, '@nestjs/'));
  expect(withNest).toEqual(expect.arrayContaining(['gateway/gateway.test.ts', 'subgraphs/posts/posts.test.ts']));
  expect(withNest).not.toContain('libs/failure/text.test.ts');
  expect(withNest.length).toBeLessThanOrEqual(NEST_FILES_MAX);
});

/** Does a file, or what it imports when it is loaded, import a package of that beginning? */
function loads(file: string, beginning: string, seen = new Set<string>()): boolean {
  if (seen.has(file)) return false;
  seen.add(file);
  return importsOf(file).some((name) => {
    if (name.startsWith(beginning)) return true;
    const path = name.startsWith('#libs/')
      ? `${name.slice(1)}/index.ts`
      : /^\.\.?\//.test(name)
        ? join(dirname(file), name.replace(/\.js$/, '.ts'))
        : undefined;
    return path !== undefined && existsSync(join(root, path)) && loads(path, beginning, seen);
  });
}

const imports = new Map<string, string[]>();

/** Types are gone by then, and what is loaded by a call is loaded later, if ever. */
function importsOf(file: string): string[] {
  let found = imports.get(file);
  if (found === undefined) {
    const text = readFileSync(join(root, file), 'utf8');
    found = [...text.matchAll(/^(?:import|export) (?!type\b)(?:[^'";]*? from )?'([^']+)';$/gm)].map(
      ([, name]) => name!,
    );
    imports.set(file, found);
  }
  return found;
}
