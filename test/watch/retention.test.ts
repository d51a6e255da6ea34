import { expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../commands/root.js';
import { readCompose, variablesOf } from '../deploy/compose-file.js';
import { secretsFor } from '../deploy/secrets.js';
import { withServer } from '../servers/needs.js';
import { startPrometheus } from './prometheus.js';

const text = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
const { command = [], volumes } = readCompose(text, secretsFor(variablesOf(text))).services['prometheus']!;
const [places, kept] = [/^--(config\.file|storage\.tsdb\.path)=/, /^--storage\.tsdb\.retention/];

it('Prometheus is told where its file and its volume are, which the image no longer says where it is told anything', () => {
  const [file, folder] = command.filter((flag) => places.test(flag)).map((flag) => flag.replace(places, ''));
  expect(volumes).toContain(`./deploy/prometheus.yml:${file}:ro`);
  expect(volumes).toContain(`prometheus:${folder}`);
});

withServer('prometheus', 'what Prometheus keeps', (binary = '') => {
  const retention = async (flags: readonly string[]): Promise<string> => {
    const prometheus = await startPrometheus(binary, '', undefined, flags);
    try {
      return (await prometheus.get<{ storageRetention: string }>('status/runtimeinfo')).data.storageRetention;
    } finally {
      await prometheus.stop();
    }
  };

  it('has an end in bytes, as docs/running.md says; control: by itself it has one in days only', async () => {
    const flags = command.filter((flag) => !places.test(flag));
    expect(flags.filter((flag) => !kept.test(flag))).toEqual([]);
    const [time, size] = (await retention(flags)).split(' or ');
    expect([time, size]).toEqual(['15d', expect.stringMatching(/^4(GB|GiB)$/)]);
    const page = readFileSync(join(ROOT, 'docs/running.md'), 'utf8');
    expect(page).toContain('It keeps 15 days, and no more than 4 GB of them');
    expect(await retention([])).toBe('15d');
  });
});
