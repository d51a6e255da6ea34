import { randomBytes } from 'node:crypto';
import { Sealer, sealingKeyOf } from '#libs/sealing';

/** For what is written in this process, and opened nowhere else. */
export const sealer = new Sealer([sealingKeyOf('test', randomBytes(32))]);

/** A value for SEALING_KEYS, made as .env.example says. */
export function sealingKeys(id = '1'): string {
  return `${id}:${randomBytes(32).toString('base64')}`;
}
