import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ROOT } from '../../commands/root.js';

/** A fenced block of a page. */
export interface Block {
  readonly file: string;
  readonly line: number;
  /** `graphql`, `sh`, …; empty for a picture. */
  readonly language: string;
  readonly text: string;
}

/** Every page that a reader of the repository may open, from its root. `bench` is a package of its own. */
export function pages(): string[] {
  const elsewhere = new Set(['node_modules', 'dist', 'data', 'coverage', 'bench', '.git']);
  const found: string[] = [];
  const look = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && !elsewhere.has(entry.name)) look(path);
      else if (entry.name.endsWith('.md')) found.push(relative(ROOT, path));
    }
  };
  look(ROOT);
  return found.toSorted();
}

export function readPage(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

export function blocksOf(file: string, text: string): Block[] {
  const blocks: Block[] = [];
  let open: { line: number; language: string; lines: string[] } | undefined;
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^\s*```(\S*)/.exec(line);
    if (fence === null) open?.lines.push(line);
    else if (open === undefined) open = { line: index + 1, language: fence[1] ?? '', lines: [] };
    else {
      blocks.push({ file, line: open.line, language: open.language, text: open.lines.join('\n') });
      open = undefined;
    }
  }
  return blocks;
}
