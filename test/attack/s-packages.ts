import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../../commands/root.js';
import { lint, locked, missingIn, otherwiseInstalled } from '../supply-chain/lockfile.js';
import { asks, attacks, type Attack, type Stage } from './attack.js';

/** Who answers is made of packages that were looked at: each above the versions with known holes, and as it was locked. */
async function lookAtPackages({ found }: Stage): Promise<void> {
  const packages = locked(join(ROOT, 'package-lock.json'));
  for (const wrong of [...lint(packages), ...otherwiseInstalled(packages, ROOT)]) found(wrong);
  for (const line of missingIn(await readFile(join(ROOT, '.npmrc'), 'utf8'))) found(`.npmrc does not say ${line}`);
}

export const packages: readonly Attack[] = attacks(
  'gateway',
  { 'S32 a question, which is answered by packages that were looked at': [asks('{me{id}}'), 200] },
  { scene: lookAtPackages },
);
