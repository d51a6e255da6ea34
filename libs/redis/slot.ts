import { Cluster } from 'ioredis';
import type { Connection } from './connect.js';

/** Which master of a cluster a key is at, as far as is known; undefined: it is no cluster. */
export function masterOf(redis: Connection, key: string): string | undefined {
  return redis instanceof Cluster ? (redis.slots[slotOf(key)]?.[0] ?? 'not known') : undefined;
}

/** Which of the 16,384 slots of a Redis Cluster a key is in (CRC-16/XMODEM of it, or of what stands in its first braces). */
export function slotOf(key: string): number {
  const tag = /^[^{]*\{([^}]+)\}/.exec(key)?.[1];
  let crc = 0;
  for (const byte of Buffer.from(tag ?? key)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = ((crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021) & 0xffff;
  }
  return crc % 16_384;
}
