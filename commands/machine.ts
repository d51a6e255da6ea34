import { cpus } from 'node:os';

/** What figures were measured on, in one line. */
export function machine(): string {
  const all = cpus();
  return `Node ${process.version}, ${process.platform} ${process.arch}, ${all.length} × ${all[0]?.model.trim() ?? 'unknown'}`;
}
