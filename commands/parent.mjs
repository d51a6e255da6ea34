// Plain JavaScript, because it runs before anything is built.
import { readFileSync } from 'node:fs';

const LOOK_MS = 250;

/**
 * kill -9 of npm tells nobody: its script would run on, by now a child of init. So a program that npm started ends, as SIGTERM
 * ends it, when npm is gone. Nobody else's parent is watched: who is started by hand, by systemd or as Docker's first
 * process lives as long as it likes.
 */
export function endWithNpm(env = process.env) {
  // Inherited from a script that started something which started us, it says nothing of our parent.
  if (!env.npm_lifecycle_script?.includes('commands/run.mjs')) return;
  const parent = process.ppid;
  // Between npm and us there may be a shell that did not make way for us; it outlives npm too.
  const npm = runsScript(parent) ? parentOf(parent) : undefined;
  endUnless(() => process.ppid === parent && (npm === undefined || parentOf(parent) === npm));
}

/** Ends this process, as SIGTERM does, when the one that started it is gone. */
export function endWithParent() {
  const parent = process.ppid;
  endUnless(() => process.ppid === parent);
}

function endUnless(holds) {
  const looking = setInterval(() => {
    if (holds()) return;
    clearInterval(looking);
    process.kill(process.pid, 'SIGTERM');
  }, LOOK_MS);
  looking.unref();
}

/** Where there is no /proc, sh is a bash, which always makes way. */
function runsScript(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('commands/run.mjs');
  } catch {
    return false;
  }
}

function parentOf(pid) {
  try {
    return Number(/\) \S (\d+) /.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]);
  } catch {
    return undefined;
  }
}
