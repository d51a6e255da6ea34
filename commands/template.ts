import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildTemplate } from '#libs/database';

// `npm run template`, after a new version of PGlite: makes the folder that new embedded databases are copies of. Run from
// the root of the repository: it is the committed file that is written, the next build takes it into dist.
const file = join('libs', 'database', 'embedded', 'template.br');
const archive = await buildTemplate();
await writeFile(file, archive);
process.stdout.write(`${file}: ${archive.length.toLocaleString('en')} bytes\n`);
