import { expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { steps } from '../commands/check-steps.js';
import { ROOT } from '../commands/root.js';

it('what checks types and lint finds a text where a number is to be, and a promise that nobody waits for; control: nothing where all fits', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-types-'));
  try {
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    symlinkSync(join(ROOT, '.oxlintrc.json'), join(folder, '.oxlintrc.json'));
    writeFileSync(
      join(folder, 'tsconfig.json'),
      '{"compilerOptions":{"strict":true,"noEmit":true},"include":["*.ts"]}',
    );
    const [program = '', ...args] = steps.find(({ name }) => name === 'types and lint')!.command;
    const flags = args.filter((arg) => arg.startsWith('-'));
    const said = (text: string): string => {
      writeFileSync(join(folder, 'a.ts'), text);
      const { status, stdout } = spawnSync(process.execPath, [join(ROOT, program), ...flags, 'a.ts'], { cwd: folder });
      return `${status} ${String(stdout)}`;
    };
    expect(said(`export const n: number = 'x';\n`)).toMatch(/^1 [^]*TS2322/);
    expect(said(`export function f(): void {\n  Promise.resolve();\n}\n`)).toMatch(/^1 [^]*no-floating-promises/);
    expect(said(`export const n: number = 1;\n`)).toMatch(/^0 /);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
