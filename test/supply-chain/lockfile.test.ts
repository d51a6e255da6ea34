import { describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../commands/root.js';
import { FLOORS, isBelow, lint, locked, missingIn, otherwiseInstalled, type Locked } from './lockfile.js';

const ours = locked(join(ROOT, 'package-lock.json'));

describe('package-lock.json', () => {
  it('has every package above the versions with known holes, by hash, without addresses, under a licence that was looked at', () => {
    expect(lint(ours)).toEqual([]);
  });

  it('is what is installed (control: another version is found)', () => {
    expect(otherwiseInstalled(ours, ROOT)).toEqual([]);
    const [graphql] = ours.filter(({ name }) => name === 'graphql') as [Locked];
    expect(otherwiseInstalled([{ ...graphql, version: '16.8.0' }], ROOT)).toEqual([
      'node_modules/graphql is installed in version 16.15.0, and 16.8.0 was locked',
    ]);
  });

  it('has one copy of graphql, or types of one would not be types of the other', () => {
    expect(ours.filter(({ name }) => name === 'graphql').map(({ version }) => version)).toEqual(['16.15.0']);
  });

  it('control: an old version, an address, a missing hash, another licence, a script are each found', () => {
    const fine: Locked = {
      path: 'node_modules/jose',
      name: 'jose',
      version: '6.2.17',
      license: 'MIT',
      integrity: 'sha512-x',
      resolved: undefined,
      dev: false,
      hasInstallScript: false,
    };
    expect(lint([fine])).toEqual([]);
    const wrong: Partial<Locked>[] = [
      { version: '5.9.9' },
      { version: '6.0.0-rc.1' },
      { resolved: 'somewhere' },
      { integrity: undefined },
      { license: 'AGPL-3.0' },
      { license: 'Elastic-2.0' },
      { hasInstallScript: true },
    ];
    for (const one of wrong) expect([one, lint([{ ...fine, ...one }])]).toEqual([one, [expect.any(String)]]);
  });

  it('versions are compared by number', () => {
    expect(isBelow('2.9.9', '2.10.0')).toBe(true);
    expect(isBelow('2.10.0', '2.9.9')).toBe(false);
    expect(isBelow('16.15.0', '16.15.0')).toBe(false);
  });

  it('every floor is for a package that is installed, or the row would guard nothing', () => {
    const installed = new Set([...ours, ...locked(join(ROOT, 'bench/package-lock.json'))].map(({ name }) => name));
    expect(Object.keys(FLOORS).filter((name) => !installed.has(name))).toEqual([]);
  });
});

describe('.npmrc', () => {
  it('lets no package run a script when it is installed, and takes no version before others had a week to look at it', () => {
    expect(missingIn(readFileSync(join(ROOT, '.npmrc'), 'utf8'))).toEqual([]);
    // Control.
    expect(missingIn('ignore-scripts=false\nmin-release-age=70\n')).toEqual([
      'ignore-scripts=true',
      'min-release-age=7',
    ]);
    // npm 10 knows the first; the second since 11.10.
    expect(execFileSync('npm', ['config', 'get', 'ignore-scripts'], { cwd: ROOT, encoding: 'utf8' }).trim()).toBe(
      'true',
    );
  });
});

describe('npm run sbom', () => {
  it('lists what production installs, by name, version and hash (CycloneDX), and nothing that only we use', () => {
    const printed = execFileSync(process.execPath, ['dist/commands/sbom.js'], { cwd: ROOT, encoding: 'utf8' });
    const sbom = JSON.parse(printed) as {
      bomFormat: string;
      components: { 'bom-ref': string; group?: string; name: string; version: string; hashes: { content: string }[] }[];
    };
    expect(sbom.bomFormat).toBe('CycloneDX');
    const listed = sbom.components.map(
      ({ 'bom-ref': path, group, name, version }) => `${path} ${group ? `${group}/` : ''}${name}@${version}`,
    );
    const installed = ours.filter(({ dev }) => !dev).map(({ path, name, version }) => `${path} ${name}@${version}`);
    expect(listed.toSorted()).toEqual(installed.toSorted());
    expect(sbom.components.filter(({ hashes }) => !/^[0-9a-f]{128}$/.test(hashes[0]!.content))).toEqual([]);
    expect(sbom.components.filter(({ name }) => ['jest', 'typescript', 'prettier'].includes(name))).toEqual([
      expect.objectContaining({ name: 'typescript' }),
    ]);
  });
});
