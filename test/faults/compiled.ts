import { transformSync, type Options } from '@swc/core';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * The libraries as a program that is killed in a test runs them: compiled from the sources as they are now, into a folder
 * of their own. (dist may be stale, or just being built.) The caller removes the folder.
 */
export function compileLibraries(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-compiled-'));
  const options = JSON.parse(readFileSync(join(root, '.swcrc'), 'utf8')) as Options;
  for (const path of readdirSync(join(root, 'libs'), { recursive: true, encoding: 'utf8' })) {
    const [from, to] = [join(root, 'libs', path), join(folder, 'libs', path)];
    if (/\.(test|contract|d)\.ts$/.test(path)) continue;
    mkdirSync(dirname(to), { recursive: true });
    if (path.endsWith('.ts')) {
      const { code } = transformSync(readFileSync(from, 'utf8'), {
        ...options,
        exclude: [],
        swcrc: false,
        filename: from,
      });
      writeFileSync(to.replace(/\.ts$/, '.js'), code);
    } else if (/\.(br|mjs)$/.test(path)) {
      cpSync(from, to);
    }
  }
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ type: 'module', imports: { '#libs/*': './libs/*/index.js' } }),
  );
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}
