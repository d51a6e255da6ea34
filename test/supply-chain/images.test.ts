import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../commands/root.js';

/** An exact version for people, and for Docker the digest, which is what it goes by. */
const PINNED = /^[a-z0-9./-]+:v?\d+\.\d+(?:\.\d+)*(?:-[a-z0-9.-]+)?@sha256:[0-9a-f]{64}$/;

/** Images that others made, as one of the two files names them. */
function imagesOf(text: string): string[] {
  const named = [...text.matchAll(/^\s*(?:image:|FROM)\s+(\S+)/gm)].map(([, image = '']) => image);
  return named.filter((image) => !image.startsWith('tributary:'));
}

describe('docker-compose.yml and the Dockerfile', () => {
  it('take every image of others by its digest', () => {
    const compose = imagesOf(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8'));
    const dockerfile = imagesOf(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'));
    expect([compose.length, dockerfile.length]).toEqual([6, 2]);
    for (const image of [...compose, ...dockerfile]) expect(image).toMatch(PINNED);
    expect(new Set(dockerfile).size).toBe(1);
  });

  it('control: a tag alone, the newest one, a digest alone or cut short are each found', () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    const wrong = ['redis:7-alpine', 'redis:7.4.9', `redis:latest@${digest}`, `redis@${digest}`, `redis:7.4@${digest}`];
    expect(wrong.filter((image) => PINNED.test(image))).toEqual([`redis:7.4@${digest}`]);
    expect(imagesOf(`  image: redis:7\nFROM node:24 AS build\nimage: tributary:1\n`)).toEqual(['redis:7', 'node:24']);
    expect(PINNED.test(`redis:7.4.9@${digest.slice(0, -1)}`)).toBe(false);
  });
});
