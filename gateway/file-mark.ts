import type { Stats } from 'node:fs';

/**
 * Is a file that is looked at now and then still the one that was read? The same text: it is. Size, both times and which
 * file it is: what keeps the modification time (`cp -p`, an image whose files are all of one day, an editor) still changes the
 * inode or its own time. Take it before the file is read, so that what is written meanwhile is found at the next look.
 */
export function markOf({ mtimeMs, ctimeMs, size, ino }: Stats): string {
  return `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
}
