import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Statements } from '#libs/database';
import { NotOpened, type Sealer } from '#libs/sealing';
import { SettingsError } from '#libs/settings';
import { EMAIL, MADE, openSealer, type SealingParts } from './sealing.js';

type Place = Pick<SealingParts, 'DATABASE_URL' | 'DATA_DIR'>;

/**
 * Embedded, the keys are made before the database is. Where it is there and they are not, new ones would be made without a word, and the e-mail addresses
 * in it be lost. One of the two is enough here: who came from a version before sealing has one, and a signing key may be removed on purpose. Whether the
 * other one is missed is in the database (`openSealerOver`).
 */
export function refuseLostKeys(place: Place): void {
  const { DATA_DIR } = place;
  if (!hasDatabase(place) || isGoneOnWithout(DATA_DIR)) return;
  const folder = join(DATA_DIR, 'keys');
  if ([SEALING, 'signing-key.pem'].some((name) => existsSync(join(folder, name)))) return;
  throw lost(DATA_DIR, `${folder} is gone`);
}

/** What `openSealer` opens, for a database: throws a SettingsError where its e-mail addresses are sealed by a key that is gone, or is another one now. */
export async function openSealerOver(database: Statements, parts: SealingParts): Promise<Sealer> {
  const { DATABASE_URL, DATA_DIR } = parts;
  const rows = await newest(database);
  const file = join(DATA_DIR, 'keys', SEALING);
  const isOurs = DATABASE_URL === undefined && !isGoneOnWithout(DATA_DIR);
  // Before a new one is made: what is put back finds the place empty.
  if (isOurs && !existsSync(file) && rows.some(({ key }) => key === MADE)) throw lost(DATA_DIR, `${file} is gone`);
  const sealer = await openSealer(parts);
  for (const key of othersNow(sealer, rows)) {
    if (key !== MADE)
      throw new SettingsError([
        `SEALING_KEYS takes each key under the id that it has sealed by; came another one under ${key}, which opens none of the e-mail addresses that are sealed by ${key}: give the key of before, or the new one an id of its own, where that is lost and they with it`,
      ]);
    if (isOurs) throw lost(DATA_DIR, `${file} is another one`);
  }
  return sealer;
}

/** Makes the key of a new database before that is made: who is killed in between has not lost it. */
export async function makeSealingKey(parts: SealingParts): Promise<void> {
  if (!hasDatabase(parts)) await openSealer(parts);
}

/** Is there an embedded one already? */
function hasDatabase({ DATABASE_URL, DATA_DIR }: Place): boolean {
  return DATABASE_URL === undefined && existsSync(join(DATA_DIR, 'users', 'PG_VERSION'));
}

function lost(dataDir: string, what: string): SettingsError {
  const goOn = join(dataDir, 'keys', GO_ON);
  return new SettingsError([
    `DATA_DIR takes databases with their keys; ${dataDir} has databases, whose e-mail addresses nobody can read without the keys, and ${what}: put it back from a backup, or make an empty file ${goOn} to go on with new keys and without those addresses`,
  ]);
}

function isGoneOnWithout(dataDir: string): boolean {
  return existsSync(join(dataDir, 'keys', GO_ON));
}

const SEALING = 'sealing.secret';
/** An empty file that says so. */
const GO_ON = 'lost';

interface Sealed {
  readonly id: string;
  readonly text: string;
  /** The id of the key that it names. */
  readonly key: string;
}

/** Of those who signed up last, so that it is one short statement, however many there are. */
async function newest(database: Statements): Promise<Sealed[]> {
  return database.query<Sealed>(
    `SELECT id, email AS text, split_part(email, ':', 3) AS key
     FROM (SELECT id, email FROM users ORDER BY id DESC LIMIT 1000) AS newest WHERE starts_with(email, 'sealed:')`,
  );
}

/** Ids of keys that are here, and open nothing of what was sealed under their id: one text alone may have been changed. */
function othersNow(sealer: Sealer, rows: readonly Sealed[]): string[] {
  const opens = new Map<string, boolean>();
  for (const { id, text, key } of rows) {
    if (opens.get(key)) continue;
    try {
      sealer.open(EMAIL, id, text);
      opens.set(key, true);
    } catch (error) {
      if (!(error instanceof NotOpened)) throw error;
      // What names a key that is not here is told by whoever seals anew, and goes on.
      if (error.why === 'changed') opens.set(key, false);
    }
  }
  return [...opens].filter(([, isOpen]) => !isOpen).map(([key]) => key);
}
