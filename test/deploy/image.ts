import { execFile } from 'node:child_process';
import { copyFile, cp, mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import type { Account } from './child.js';
import { readDockerfile, type Step } from './dockerfile.js';
import { areSame, installedIn, lockedIn } from './installed.js';

export interface Image {
  /** The last stage's WORKDIR, as a folder of this machine; nothing in it can be written any more. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
}

type Run = (
  command: string,
  args: readonly string[],
  cwd: string,
  env?: Readonly<Record<string, string>>,
) => Promise<unknown>;

/** What it leaves is in `repository` already, where that has been installed by the same words, as `.ci/run` does. */
export const INSTALL = 'npm ci --ignore-scripts';

/**
 * The Dockerfile of `repository` carried out line by line, on this machine's Node instead of the base image's: a stage is a
 * folder in `into`, COPY takes from what .dockerignore leaves, RUN runs in the stage's WORKDIR, all by `account`, but for the last stage. What is installed in
 * `repository` is taken over when it is what the lockfile says: to install it once more costs a processor half a minute.
 */
export async function buildImage(
  repository: string,
  into: string,
  { env, account }: { env: Readonly<Record<string, string>>; account: Account | undefined },
): Promise<Image> {
  const runBy =
    (somebody: Account | undefined): Run =>
    (command, args, cwd, more = {}) =>
      promisify(execFile)(command, [...args], { cwd, env: { ...env, ...more }, ...somebody, maxBuffer: 1 << 26 });
  const context = join(into, 'context');
  await sendContext(repository, context);

  const stages = readDockerfile(await readFile(join(repository, 'Dockerfile'), 'utf8'));
  const folderOf = (name: string): string => join(into, `stage-${name}`);
  const isInstalled = areSame(await lockedIn(repository), await installedIn(repository).catch(() => ({})));
  let workdir = '';
  for (const stage of stages) {
    // In the image it belongs to root, and the programs run by somebody else.
    const run = runBy(stage === stages.at(-1) ? undefined : account);
    workdir = join(folderOf(stage.name), stage.workdir);
    await run('mkdir', ['-p', workdir], into);
    for (const step of stage.steps) {
      if (step.verb === 'RUN' && step.command === INSTALL && isInstalled)
        await takeInstalled(repository, join(workdir, 'node_modules'), account);
      else if (step.verb === 'RUN') await run('/bin/sh', ['-c', step.command], workdir, stage.env);
      else await copy(step, step.from === undefined ? context : folderOf(step.from), workdir, run);
    }
  }
  // What was built is linked, and still the account's. Root's files cannot be written already, and are the repository's.
  const which = account ? ['-uid', String(account.uid)] : [];
  await runBy(undefined)('find', [workdir, '!', '-type', 'l', ...which, '-exec', 'chmod', 'a-w', '{}', '+'], into);
  return { folder: workdir, env: stages.at(-1)?.env ?? {} };
}

/**
 * Root's files are linked, which is ten times cheaper, and stay root's: `account` may remove them where they are now, and not write to
 * them. Anybody else, who may, has copies. Who owns the repository need not let `account` read it.
 */
async function takeInstalled(repository: string, to: string, account: Account | undefined): Promise<void> {
  const from = join(repository, 'node_modules');
  const run = (command: string, ...args: string[]) => promisify(execFile)(command, args);
  if (account === undefined) return void (await run('cp', '-R', from, to));
  // From another disk it is copied.
  await run('cp', '-RPl', from, to).catch(() => run('cp', '-R', `${from}/.`, to));
  const owner = `${account.uid}:${account.gid}`;
  await run('find', to, '-type', 'd', '-exec', 'chown', owner, '{}', '+');
  // npm writes to it.
  const list = '.package-lock.json';
  await rm(join(to, list));
  await copyFile(join(from, list), join(to, list));
  await run('chown', owner, join(to, list));
}

/** A folder's contents go into `to`; a file goes into it when it ends in a slash, and else is called so. */
async function copy(step: Step & { verb: 'COPY' }, from: string, workdir: string, run: Run): Promise<void> {
  if (step.to.startsWith('/')) throw new Error(`COPY … ${step.to}: the test of the image copies into the WORKDIR only`);
  const to = join(workdir, step.to);
  // Nobody writes to a stage that is copied from, and links to 300 MB are made sooner than copies.
  const how = step.from !== undefined && process.platform === 'linux' ? '-RPl' : '-R';
  for (const source of step.sources.map((path) => join(from, path))) {
    const isFolder = (await stat(source)).isDirectory();
    if (isFolder || step.to.endsWith('/')) await run('mkdir', ['-p', to], workdir);
    await run('cp', [how, isFolder ? `${source}/.` : source, to], workdir);
  }
}

/** What `docker build` is sent: the repository without what .dockerignore names. */
async function sendContext(repository: string, context: string): Promise<void> {
  const rules = (await readFile(join(repository, '.dockerignore'), 'utf8'))
    .split('\n')
    .filter((line) => /^[^#]/.test(line));
  const kept = rules.filter((rule) => rule.startsWith('!')).map((rule) => rule.slice(1));
  const isIgnored = (path: string): boolean =>
    rules.reduce((ignored, rule) => (isUnder(path, rule.replace(/^!/, '')) ? !rule.startsWith('!') : ignored), false);
  await mkdir(context);
  await cp(repository, context, {
    recursive: true,
    filter: (source) => {
      const path = relative(repository, source);
      return path === '' || !isIgnored(path) || kept.some((rule) => isUnder(rule, path));
    },
  });
}

function isUnder(path: string, rule: string): boolean {
  if (/[*?[]/.test(rule)) throw new Error(`.dockerignore has ${rule}: the test of the image takes plain names only`);
  return path === rule || path.startsWith(`${rule}/`);
}
