import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startChild, type Child } from './child.js';
import { plainEnvironment } from './environment.js';

/** A house of its own, in which `nest build` makes a program that only waits. */
const FILES = {
  'package.json': '{"type":"module"}',
  'commands/assets.mjs': '',
  'node_modules/@nestjs/cli/bin/nest.js': `
    const { mkdirSync, writeFileSync } = require('node:fs');
    mkdirSync('dist/commands', { recursive: true });
    writeFileSync('dist/commands/start.js', "console.log('starting'); setInterval(() => {}, 1_000);");`,
  'node_modules/@nestjs/cli/package.json': '{"type":"commonjs"}',
};
let house: string;
let child: Child | undefined;

beforeEach(async () => {
  house = await mkdtemp(join(tmpdir(), 'tributary-run-'));
  for (const [file, text] of Object.entries(FILES)) {
    await mkdir(dirname(join(house, file)), { recursive: true });
    await writeFile(join(house, file), text);
  }
  for (const file of ['commands/run.mjs', 'commands/parent.mjs'])
    await copyFile(fileURLToPath(new URL(`../../${file}`, import.meta.url)), join(house, file));
});
afterEach(async () => {
  await child?.destroy();
  await rm(house, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

it.each(['SIGTERM', 'SIGINT'] as const)(
  'a program that still starts, after a build, is ended by %s',
  async (signal) => {
    const env = plainEnvironment();
    child = await startChild('run', [process.execPath, 'commands/run.mjs', 'start'], { cwd: house, env });
    await child.said('starting');
    expect(child.output()).toContain('Building');
    expect(await child.end(signal)).toBe(signal === 'SIGTERM' ? 143 : 130);
  },
);
