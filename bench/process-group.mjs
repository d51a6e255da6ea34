/** What a process and everything it started has used, from /proc: Linux only, and 10 ms is the clock's step. */
import { readdirSync, readFileSync } from 'node:fs';

const TICK_MS = 10;

export function cpuMsOf(pid) {
  return group(pid).reduce((sum, { ticks }) => sum + ticks * TICK_MS, 0);
}

/** Pages that a child shares with its parent (the program itself, above all) are there once, so they count once. */
export function residentBytesOf(pid) {
  return group(pid).reduce((sum, one) => {
    const kib =
      one.pid === pid
        ? [/VmRSS:\s+(\d+)/.exec(read(`/proc/${one.pid}/status`))?.[1]]
        : Array.from(read(`/proc/${one.pid}/smaps_rollup`).matchAll(/^Private_\w+:\s+(\d+)/gm), (found) => found[1]);
    return sum + kib.reduce((all, each) => all + Number(each ?? 0), 0) * 1024;
  }, 0);
}

function group(pid) {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => statOf(Number(name)))
    .filter(Boolean);
  const found = all.filter((one) => one.pid === pid);
  for (const parent of found) found.push(...all.filter((one) => one.parent === parent.pid));
  return found;
}

function statOf(pid) {
  const text = read(`/proc/${pid}/stat`);
  if (text === '') return undefined;
  // The name may have spaces and brackets; what follows its last bracket has none.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { pid, parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) };
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
