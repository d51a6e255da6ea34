import { readFileSync } from 'node:fs';

/** How many files this process may have open: Node has made the soft limit as high as the hard one. Undefined: this system does not say. */
export function openFilesMax(): number | undefined {
  try {
    const max = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return max === undefined ? undefined : Number(max);
  } catch {
    return undefined;
  }
}

/**
 * Before anything else is imported: to load a program Node opens the files of a whole layer of imports at once, and when there are too
 * many it fails at one of them, often as a package that cannot be found.
 */
export function requireOpenFiles(name: string, least: number): void {
  const max = openFilesMax();
  if (max === undefined || max >= least) return;
  process.stderr.write(
    `${name} cannot start with ${max} open files; let it have ${least} (ulimit -Hn, LimitNOFILE=, ulimits) or more.\n`,
  );
  process.exit(1);
}

/** What Node opens at once to load a service (about 550), and some. */
export const SERVICE_FILES_MIN = 1_024;
