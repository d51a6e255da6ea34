import { join } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../../commands/root.js';
import type { Block } from './markdown.js';

/** What the compiler says of each block, by the repository's own rules: `README.md:12: …`. `given` is what a page leaves out. */
export function typeErrors(blocks: readonly Block[], given: Readonly<Record<string, string>>): string[] {
  const sources = new Map(
    blocks.map((block, index) => {
      const head = given[block.file] ?? '';
      const lines = head.split('\n').length;
      return [
        join(ROOT, `test/docs/block-${index}.ts`),
        { block, text: `${head}\n${block.text}\nexport {};\n`, lines },
      ];
    }),
  );
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
    config: object;
  };
  const { options } = ts.parseJsonConfigFileContent({ ...config, files: [], include: [] }, ts.sys, ROOT);
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile } = host;
  host.fileExists = (path) => sources.has(path) || fileExists(path);
  host.readFile = (path) => sources.get(path)?.text ?? readFile(path);
  const program = ts.createProgram({
    rootNames: [...sources.keys()],
    options: { ...options, noEmit: true, noUnusedLocals: false },
    host,
  });
  return [...sources].flatMap(([path, { block, lines }]) =>
    ts.getPreEmitDiagnostics(program, program.getSourceFile(path)).map((diagnostic) => {
      const { line } = ts.getLineAndCharacterOfPosition(diagnostic.file!, diagnostic.start ?? 0);
      const message = ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ');
      return `${block.file}:${block.line + 1 + line - lines}: ${message}`;
    }),
  );
}
