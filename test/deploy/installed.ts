import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  /** Where it is for another system, it is not installed. */
  readonly optional?: boolean;
}
/** By the folder that each is in. */
type Packages = Readonly<Record<string, Locked>>;

export const lockedIn = (folder: string): Promise<Packages> => packagesOf(join(folder, 'package-lock.json'));
/** As npm wrote it down when it had installed or removed something. */
export const installedIn = (folder: string): Promise<Packages> =>
  packagesOf(join(folder, 'node_modules/.package-lock.json'));

async function packagesOf(file: string): Promise<Packages> {
  return (JSON.parse(await readFile(file, 'utf8')) as { packages: Packages }).packages;
}

/** Is every package installed that is locked, as it is locked, and none besides? */
export function areSame({ '': _itself, ...locked }: Packages, installed: Packages): boolean {
  return (
    Object.keys(installed).every((path) => locked[path] !== undefined) &&
    Object.entries(locked).every(([path, { version, integrity, optional = false }]) => {
      const found = installed[path];
      return found === undefined ? optional : found.version === version && found.integrity === integrity;
    })
  );
}
