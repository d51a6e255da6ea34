import { readFileSync } from 'node:fs';
import { whyUnread } from '#libs/settings';

/** What somebody gave a command is not what it takes; the message is for them, without a stack. */
export class CommandError extends Error {}

/** The text of a file that somebody named. `taking`: 'npm run explain takes a file with an operation'. */
export function readGiven(file: string, taking: string): string {
  return given(file, taking, () => readFileSync(file, 'utf8'));
}

/** What `read` says of a file or folder; where it is not to be had, a CommandError in one sentence. */
export function given<T>(file: string, taking: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new CommandError(`${taking}; came ${JSON.stringify(file)}, ${whyUnread(error)}.`);
  }
}
