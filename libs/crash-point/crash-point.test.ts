import { afterEach, describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { armFromEnvironment, CRASH_POINTS, crashPoint, setTrap, type CrashPoint } from './index.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const POINTS = Object.keys(CRASH_POINTS) as CrashPoint[];

describe('a crash point', () => {
  afterEach(() => setTrap(undefined));

  it('does nothing where nobody has set a trap', () => {
    for (const point of POINTS) crashPoint(point);
  });

  it('tells a trap its name', () => {
    const passed: string[] = [];
    setTrap((name) => void passed.push(name));
    for (const point of POINTS) crashPoint(point);
    expect(passed).toEqual(POINTS);
  });

  it('stands in the code once at least, each of them, and none that is not in the table', () => {
    const passed = new Set(
      sources('libs', 'subgraphs', 'commands').flatMap(([, text]) =>
        [...text.matchAll(/\bcrashPoint\('([^']+)'\)/g)].map(([, name]) => name),
      ),
    );
    expect(passed).toEqual(new Set(POINTS));
  });

  it('is armed by the harness only: no program reads CRASH_AT', () => {
    const arming = sources('gateway', 'libs', 'subgraphs', 'commands')
      .filter(([path]) => !path.startsWith('libs/crash-point/'))
      .filter(([, text]) => /\b(armFromEnvironment|setTrap|arm)\b.*#libs\/crash-point|CRASH_AT/.test(text))
      .map(([path]) => path);
    expect(arming.filter((path) => !/^commands\/(prove|faults)\//.test(path))).toEqual([]);
    expect(arming).toContain('commands/prove/worker.ts');
  });

  it('that is not there is refused, with those that are', () => {
    expect(() => armFromEnvironment({ CRASH_AT: 'relay:nowhere' })).toThrow(/one of begin:before, .*relay:nowhere/);
    armFromEnvironment({});
    armFromEnvironment({ CRASH_AT: '' });
  });
});

/** Their path and text, without the tests. */
function sources(...folders: string[]): [string, string][] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts') && !/\.(test|contract)\.ts$/.test(path))
      .map((path): [string, string] => [`${folder}/${path}`, readFileSync(join(root, folder, path), 'utf8')]),
  );
}
