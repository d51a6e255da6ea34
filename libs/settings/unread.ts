/** Why a file cannot be read, to follow its name: 'which is not there'. */
export function whyUnread(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return WHY[code ?? ''] ?? `which cannot be read (${message})`;
}

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'which is not there',
  ENOTDIR: 'which is not there',
  EISDIR: 'which is a folder',
  EACCES: 'which this user may not read',
  EPERM: 'which this user may not read',
};
