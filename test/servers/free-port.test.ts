import { expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.js';

const COUNT = 500;
const fileOf = (port: number): string => join(tmpdir(), `tributary-ports-${process.getuid?.() ?? 'all'}`, String(port));

it('nobody is given a port that somebody else was given, though nothing listens there yet; control: of those that are only drawn some are the same', async () => {
  const given = await Promise.all(Array.from({ length: COUNT }, () => freePort()));
  expect(new Set(given).size).toBe(COUNT);
  const drawn = Array.from({ length: 10 * COUNT }, () => Math.floor(Math.random() * 12_000));
  expect(new Set(drawn).size).toBeLessThan(10 * COUNT);
});

it('it is anybody’s again when the process has ended that was given it', async () => {
  const port = await freePort();
  const file = fileOf(port);
  expect(readFileSync(file, 'utf8')).toBe(String(process.pid));
  const { pid } = spawnSync('true');
  writeFileSync(file, String(pid));
  // Whoever draws it next takes the mark away, and whoever draws it then is given it.
  const { random } = Math;
  try {
    let nth = 0;
    Math.random = () => (nth++ < 2 ? (port - 20_000 + 0.5) / 12_000 : random());
    expect(await freePort()).toBe(port);
  } finally {
    Math.random = random;
  }
  expect(readFileSync(file, 'utf8')).toBe(String(process.pid));
});
