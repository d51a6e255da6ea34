import { expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const code = ['gateway', 'subgraphs', 'libs', 'commands'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !/\.(test|contract|fixture)\.ts$/.test(file))
    .map((file) => ({ file: join(folder, file), text: readFileSync(join(root, folder, file), 'utf8') })),
);

/** TypeORM's calls that take conditions as an object: where a value is missing, some versions of it leave the condition out. */
const BY_CONDITIONS =
  /\.(find(One)?(OrFail|By|ByOrFail|AndCount|AndCountBy)?|exists(By)?|count(By)?|update|delete|softDelete|restore|increment|decrement|sum|average|minimum|maximum)\(\s*[A-Z]\w*(Row|Entity)\b|\b(getRepository|createQueryBuilder)\(/g;

/** Here the id was read from an assertion, and is a text. */
const LOOKED_AT = [
  'subgraphs/users/write/account.ts: .findOne(UserRow',
  'subgraphs/users/write/change-password.ts: .update(UserRow',
  'subgraphs/users/write/edit-profile.ts: .update(UserRow',
];

function callsIn(text: string): string[] {
  return [...text.matchAll(BY_CONDITIONS)].map(([call]) => call);
}

it('rows are found by SQL with parameters: what takes conditions as an object is looked at one by one', () => {
  const calls = code.flatMap(({ file, text }) => callsIn(text).map((call) => `${file}: ${call}`));
  expect(calls.sort()).toEqual(LOOKED_AT);
  // Control: it finds what it is for.
  const naive = 'repository.findOneBy(UserRow, { id: args.id }); m.find(\n PostRow, {}); source.getRepository(UserRow)';
  expect(callsIn(naive)).toEqual(['.findOneBy(UserRow', '.find(\n PostRow', 'getRepository(']);
});

/** A text with SQL that something was put into. */
function builtSqlIn(text: string): string[] {
  const texts = [...text.matchAll(/`[^`]*`/g)].map(([one]) => one);
  return texts.filter((one) => /\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b/.test(one) && one.includes('${'));
}

it('where the arguments of clients come in, nothing is put into SQL', () => {
  const doors = code.filter(({ file }) => /\.(resolver|mutations|controller)\.ts$/.test(file));
  expect(doors.length).toBeGreaterThan(8);
  expect(doors.filter(({ text }) => builtSqlIn(text).length > 0).map(({ file }) => file)).toEqual([]);
  // Control.
  expect(builtSqlIn('query(`SELECT * FROM users WHERE handle = ${args.handle}`)')).toHaveLength(1);
});
