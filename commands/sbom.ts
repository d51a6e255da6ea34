import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './root.js';

/**
 * `npm run sbom`: what production installs, as CycloneDX 1.6 JSON on standard output, read from package-lock.json alone:
 * name, version, SHA-512 and licence of every copy. The same lockfile gives the same bytes. `npm sbom` is not used: version
 * 11.19 leaves out what is only somebody's peer (rxjs and a hundred others), and knows no hashes of a lockfile without addresses.
 * https://cyclonedx.org/docs/1.6/json/
 */
interface Entry {
  readonly version: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
}

const lock = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
const { name, version, packages } = JSON.parse(lock) as {
  name: string;
  version: string;
  packages: Record<string, Entry>;
};

const components = Object.entries(packages)
  .filter(([path, { dev }]) => path !== '' && dev !== true)
  .map(([path, entry]) => component(path, entry))
  .toSorted((a, b) => (a['bom-ref'] < b['bom-ref'] ? -1 : 1));

process.stdout.write(
  `${JSON.stringify(
    {
      $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
      bomFormat: 'CycloneDX',
      specVersion: '1.6',
      serialNumber: `urn:uuid:${uuidOf(lock)}`,
      version: 1,
      metadata: {
        component: { type: 'application', 'bom-ref': `${name}@${version}`, name, version },
      },
      components,
    },
    null,
    2,
  )}\n`,
);

function component(path: string, entry: Entry): { readonly 'bom-ref': string } & Record<string, unknown> {
  const full = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const [scope, short] = full.startsWith('@') ? full.split('/') : [undefined, full];
  const license = entry.license ?? 'NOASSERTION';
  return {
    type: 'library',
    'bom-ref': path,
    ...(scope === undefined ? {} : { group: scope }),
    name: short,
    version: entry.version,
    purl: `pkg:npm/${full.replace('@', '%40')}@${entry.version}`,
    licenses: [/[ (]/.test(license) ? { expression: license } : { license: { id: license } }],
    hashes: [
      { alg: 'SHA-512', content: Buffer.from(entry.integrity!.replace('sha512-', ''), 'base64').toString('hex') },
    ],
  };
}

/** A version 8 UUID (RFC 9562): ours by content, so the same lockfile is the same document. */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
