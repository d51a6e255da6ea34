import { createHash, randomUUID } from 'node:crypto';
import { rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** sun_path holds 104 bytes on macOS and 108 on Linux. */
const SOCKET_PATH_BYTES_MAX = 100;

/**
 * A path to `folder` by which a socket `name` in it can be bound and spoken to. One in a folder with a long name is reached through a link
 * with a short one, which must live for as long as the socket is used by it.
 */
export async function shorten(folder: string, name: string): Promise<{ path: string; remove(): Promise<void> }> {
  if (Buffer.byteLength(join(folder, name)) <= SOCKET_PATH_BYTES_MAX) return { path: folder, remove: async () => {} };
  const hash = createHash('sha256').update(folder).digest('hex').slice(0, 12);
  const path = join(tmpdir(), `tributary-${hash}-${process.pid}-${randomUUID().slice(0, 8)}`);
  await symlink(folder, path);
  return { path, remove: () => rm(path, { force: true }) };
}
