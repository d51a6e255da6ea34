import { afterEach, beforeEach, expect, it } from '@jest/globals';
import {
  chmodSync,
  closeSync,
  cpSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  lstatSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readManifest } from '../gateway/http/persisted-documents.js';
import { documentsCommand } from './documents.js';

let folder: string;
let out: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'front-end-'));
  out = join(folder, 'documents.json');
});
afterEach(() => rmSync(folder, { recursive: true }));

function run(...args: string[]): { code: number; said: string } {
  let said = '';
  const code = documentsCommand([...args, '--out', out], (text) => (said += text));
  return { code, said };
}

it('registers every operation of the examples, and again nothing new', () => {
  cpSync('examples', join(folder, 'src'), { recursive: true });
  const first = run(join(folder, 'src'));
  expect(first.code).toBe(0);
  const texts = [...readManifest(readFileSync(out, 'utf8')).values()];
  expect(texts.some((text) => text.includes('query ProfilePage'))).toBe(true);
  expect(first.said).toContain(`${texts.length} documents, ${texts.length} of them new`);
  expect(run(join(folder, 'src')).said).toContain(`${texts.length} documents, 0 of them new`);
});

it('joins an operation with the fragments that it uses, from other files, those alone, and with --typename what clients add', () => {
  writeFileSync(join(folder, 'a.graphql'), 'query A { me { ...Name } }');
  writeFileSync(join(folder, 'b.gql'), 'fragment Name on User { handle } fragment Other on User { id }');
  run(folder);
  expect([...readManifest(readFileSync(out, 'utf8')).values()]).toEqual([
    'query A {\n  me {\n    ...Name\n  }\n}\n\nfragment Name on User {\n  handle\n}',
  ]);
  run(folder, '--typename', '--replace');
  expect([...readManifest(readFileSync(out, 'utf8')).values()]).toEqual([
    'query A {\n  me {\n    ...Name\n    __typename\n  }\n}\n\nfragment Name on User {\n  handle\n  __typename\n}',
  ]);
});

it('says all that is wrong with file and line, and writes nothing', () => {
  writeFileSync(join(folder, 'a.graphql'), 'query A {\n  me { handel }\n}');
  writeFileSync(join(folder, 'b.graphql'), '{ me { id } }');
  writeFileSync(join(folder, 'c.graphql'), 'query C {');
  writeFileSync(join(folder, 'd.graphql'), 'query A { me { id } }');
  writeFileSync(join(folder, 'e.graphql'), 'query E { me { ...Missing } }');
  const { code, said } = run(folder);
  expect(code).toBe(1);
  expect(said).toContain('a.graphql:2:8: Cannot query field "handel" on type "User". Did you mean "handle"?');
  expect(said).toContain('b.graphql: an operation needs a name to be registered');
  expect(said).toContain('c.graphql:1:10: Syntax Error');
  expect(said).toContain('d.graphql: A is defined twice');
  expect(said).toContain('e.graphql:1:19: Unknown fragment "Missing".');
  expect(said).toContain('Nothing was written: 5 to mend.');
  expect(() => readFileSync(out)).toThrow('ENOENT');
});

it('what is not there, or is something else, is one sentence; control: as the system says it', () => {
  writeFileSync(join(folder, 'a.graphql'), 'query A { me { id } }');
  const gone = join(folder, 'gone');
  expect(() => run(gone)).toThrow(
    `npm run documents takes folders, or .graphql and .gql files; came "${gone}", which is not there.`,
  );
  expect(() => run(folder, '--supergraph', gone)).toThrow(
    `--supergraph takes a file with a composed graph; came "${gone}", which is not there.`,
  );
  const place = out;
  out = join(gone, 'documents.json');
  expect(() => run(folder)).toThrow(
    `--out takes a file, in a folder that is there and may be written to; came "${out}", which is not there.`,
  );
  out = place;
  for (const text of ['{"format":', 'null', '{}']) {
    writeFileSync(out, text);
    expect(() => run(folder)).toThrow(`${out} is not a file that this command wrote; say --replace or another --out`);
    expect(readFileSync(out, 'utf8')).toBe(text);
  }
  expect(() => readFileSync(gone)).toThrow(/^ENOENT: no such file or directory, open/);
});

it('a folder without documents is a mistake, not an empty list', () => {
  expect(run(folder)).toEqual({ code: 1, said: expect.stringContaining('there are none') as unknown as string });
});

/** Who has opened it before it is written anew, and reads on after. */
function readAcross(write: () => void): string {
  const reader = openSync(out, 'r');
  try {
    write();
    return readFileSync(reader, 'utf8');
  } finally {
    closeSync(reader);
  }
}

it('is put in the place of the one before whole: who reads that meanwhile reads it to its end', () => {
  writeFileSync(join(folder, 'a.graphql'), 'query A { me { id } }');
  run(folder);
  chmodSync(out, 0o640);
  const before = readFileSync(out, 'utf8');
  writeFileSync(join(folder, 'b.graphql'), 'query B { me { handle } }');
  expect(readAcross(() => run(folder))).toBe(before);
  expect(readManifest(readFileSync(out, 'utf8')).size).toBe(2);
  // Who may read it may still, and nothing is left beside it.
  expect((statSync(out).mode & 0o777).toString(8)).toBe('640');
  expect(readdirSync(folder).toSorted()).toEqual(['a.graphql', 'b.graphql', 'documents.json']);
  // Control: written over, he reads what was not there when he began.
  expect(readAcross(() => writeFileSync(out, '{'))).toBe('{');
});

it('writes what a link leads to, and leaves the link', () => {
  const [place, link] = [out, join(folder, 'link.json')];
  writeFileSync(join(folder, 'a.graphql'), 'query A { me { id } }');
  run(folder);
  symlinkSync(place, link);
  out = link;
  writeFileSync(join(folder, 'b.graphql'), 'query B { me { handle } }');
  run(folder);
  expect([lstatSync(link).isSymbolicLink(), readManifest(readFileSync(place, 'utf8')).size]).toEqual([true, 2]);
});
