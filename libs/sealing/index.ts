export { parseSealingKeys, sealingKeyOf, secretsOf, type SealingKey } from './keys.js';
export { sealAnew, SealingAnew, type Walked } from './seal-anew.js';
export { NotOpened, Sealer, type Column } from './sealer.js';
