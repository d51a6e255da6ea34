import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, stat } from 'node:fs/promises';
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
const INSTALL = 'npm ci --ignore-scripts';

/**
 * The Dockerfile of `repository` carried out line by line, on this machine's Node instead of the base image's: a stage is a
 * folder in `into`, COPY takes from what .dockerignore leaves, RUN runs in the stage's WORKDIR, all by `account`. What is installed in
 * `repository` is copied when it is what the lockfile says: to install it once more costs a processor half a minute.
 */
export async function buildImage(
  repository: string,
  into: string,
  { env, account }: { env: Readonly<Record<string, string>>; account: Account | undefined },
): Promise<Image> {
  const run: Run = (command, args, cwd, more = {}) =>
    promisify(execFile)(command, [...args], { cwd, env: { ...env, ...more }, ...account, maxBuffer: 1 << 26 });
  const context = join(into, 'context');
  await sendContext(repository, context);

  const stages = readDockerfile(await readFile(join(repository, 'Dockerfile'), 'utf8'));
  const folderOf = (name: string): string => join(into, `stage-${name}`);
  const isInstalled = areSame(await lockedIn(repository), await installedIn(repository).catch(() => ({})));
  let workdir = '';
  for (const stage of stages) {
    workdir = join(folderOf(stage.name), stage.workdir);
    await run('mkdir', ['-p', workdir], into);
    for (const step of stage.steps) {
      if (step.verb === 'RUN' && step.command === INSTALL && isInstalled)
        await copyInstalled(repository, workdir, account);
      else if (step.verb === 'RUN') await run('/bin/sh', ['-c', step.command], workdir, stage.env);
      else await copy(step, step.from === undefined ? context : folderOf(step.from), workdir, run);
    }
  }
  // In the image it belongs to root, and the programs run by somebody else.
  await run('chmod', ['-R', 'a-w', workdir], into);
  return { folder: workdir, env: stages.at(-1)?.env ?? {} };
}

/** Who owns the repository need not let `account` read it. */
async function copyInstalled(repository: string, workdir: string, account: Account | undefined): Promise<void> {
  const to = join(workdir, 'node_modules');
  await promisify(execFile)('cp', ['-R', join(repository, 'node_modules'), to]);
  if (account) await promisify(execFile)('chown', ['-R', `${account.uid}:${account.gid}`, to]);
}

/** A folder's contents go into `to`; a file goes into it when it ends in a slash, and else is called so. */
async function copy(step: Step & { verb: 'COPY' }, from: string, workdir: string, run: Run): Promise<void> {
  if (step.to.startsWith('/')) throw new Error(`COPY … ${step.to}: the test of the image copies into the WORKDIR only`);
  const to = join(workdir, step.to);
  // Nobody writes to a stage that is copied from, and links to 300 MB are made sooner than copies.
  const how = step.from !== undefined && process.platform === 'linux' ? '-Rl' : '-R';
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
