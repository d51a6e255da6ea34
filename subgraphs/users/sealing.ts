import { loadOrCreateSecret } from '#libs/identity';
import { parseSealingKeys, Sealer, sealingKeyOf, secretsOf, type Column, type SealingKey } from '#libs/sealing';
import { whyWeak, type Setting } from '#libs/settings';

/** What users keeps of a person that is nobody else's business, and is sealed. */
export const EMAIL: Column = { table: 'users', column: 'email' };

/** What opens it. A command that writes addresses has it too. */
export const sealingSettings = {
  SEALING_KEYS: {
    takes:
      'id:base64, or several with commas between them, each of at least 32 bytes that nobody can guess (echo "1:$(openssl rand -base64 32)")',
    why: 'Seals e-mail addresses in the database: the first key seals, all open. Without them the addresses are lost. Required with DATABASE_URL, else one is made once and kept under DATA_DIR.',
    secret: true,
    parse: parseSealingKeys,
    // Of the one that seals: the others only open what was sealed before, which is how a weak one is left behind.
    weak: (text) => secretsOf(text.split(',')[0]!).map(whyWeak).find(Boolean),
  } satisfies Setting<readonly SealingKey[]>,
};

interface Given {
  readonly SEALING_KEYS: readonly SealingKey[] | undefined;
  readonly DATABASE_URL: string | undefined;
}

/** A key that one process has made up is none for the others, nor after a loss of its disk. */
export function missingSealingKeys({ SEALING_KEYS, DATABASE_URL }: Given): string[] {
  return DATABASE_URL !== undefined && SEALING_KEYS === undefined
    ? [`SEALING_KEYS is required with DATABASE_URL: it takes ${sealingSettings.SEALING_KEYS.takes}`]
    : [];
}

export type SealingParts = Given & { readonly DATA_DIR: string };

/** By the keys that are given; embedded also by the one under DATA_DIR, which seals where none is given. */
export async function openSealer({ SEALING_KEYS: given = [], DATABASE_URL, DATA_DIR }: SealingParts): Promise<Sealer> {
  if (DATABASE_URL !== undefined) return new Sealer(given);
  const made = sealingKeyOf(MADE, Buffer.from(await loadOrCreateSecret(DATA_DIR, 'sealing'), 'hex'));
  return new Sealer([...given, made]);
}

/** No id that can be given. */
export const MADE = '_made';

/** Nobody's, of an account that is erased, stays empty. */
export function sealEmail(sealer: Sealer, id: string, email: string): string {
  return email === '' ? '' : sealer.seal(EMAIL, id, email);
}
