import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { buildSchema } from 'graphql';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silent, type Logger } from '#libs/telemetry';
import { startTinyHttp, type TinyHttp } from '../../test/tiny/tiny-http.js';
import { PersistedDocuments, readManifest } from './persisted-documents.js';
import { UnfitDocuments } from './unfit-documents.js';

const schema = buildSchema('type Query { me: Person } type Person { id: ID! friends: [Person!]! }');
const hash = (text: string) => createHash('sha256').update(text).digest('hex');
const ME = '{me{id}}';
const TOO_DEEP = `{me{${'friends{'.repeat(11)}id${'}'.repeat(12)}}`;
const manifest = (...texts: string[]) =>
  JSON.stringify({
    format: 'apollo-persisted-query-manifest',
    version: 1,
    operations: texts.map((body) => ({ id: hash(body), name: 'Any', type: 'query', body })),
  });

let folder: string;
let file: string;
let documents: PersistedDocuments | undefined;
let tiny: TinyHttp | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'documents-'));
  file = join(folder, 'documents.json');
});
afterEach(async () => {
  documents?.close();
  await tiny?.close();
  rmSync(folder, { recursive: true });
});

async function start({
  safelist = false,
  content = manifest(ME, TOO_DEEP),
  logger = silent,
}: { safelist?: boolean; content?: string; logger?: Logger } = {}): Promise<void> {
  writeFileSync(file, content);
  documents = new PersistedDocuments(file, { safelist, logger, lookMs: 20 });
  tiny = await startTinyHttp(schema, { me: { id: '1', friends: [] } }, { documentText: documents.textOf });
}

async function ask(body: object): Promise<[status: number, said: unknown]> {
  const response = await fetch(tiny!.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const { data, errors } = (await response.json()) as { data?: unknown; errors?: { extensions: { code: string } }[] };
  return [response.status, errors?.[0]!.extensions.code ?? data];
}

const apollo = (text: string, version = 1) => ({ extensions: { persistedQuery: { version, sha256Hash: hash(text) } } });

describe('a registered document', () => {
  it.each<[string, object, string?]>([
    ['by documentId', { documentId: hash(ME) }],
    ['by documentId with its algorithm', { documentId: `sha256:${hash(ME)}` }],
    ['as Apollo’s clients say it', apollo(ME)],
    ['both ways', { documentId: `sha256:${hash(ME)}`, ...apollo(ME) }],
    ['by id with its text beside', { documentId: hash(ME), query: ME }],
    ['by its text', { query: ME }],
    ['by its text with an id that is not known', { ...apollo('{me{id }}'), query: ME }],
    ['by its text with a new line at its end', { query: `${ME}\n` }],
    ['by its text as it stands in a template literal', { query: `\n    ${ME}\r\n  ` }],
    ['by id with its text and a new line beside', { documentId: hash(ME), query: `${ME}\n` }],
    ['by its text that was registered with a new line', { query: '{me{id}}' }, manifest(`${ME}\n`)],
  ])('runs %s', async (_how, body, content = manifest(ME, TOO_DEEP)) => {
    await start({ safelist: true, content });
    expect(await ask(body)).toEqual([200, { me: { id: '1' } }]);
    // What runs is what was registered, and nothing that came: so it is known wherever texts are.
    for (const { operation } of tiny!.executed) expect(documents!.has(operation.query)).toBe(true);
  });

  it('is held to the limits like any other', async () => {
    await start();
    expect(await ask({ documentId: hash(TOO_DEEP) })).toEqual([400, 'GRAPHQL_VALIDATION_FAILED']);
    expect(tiny!.executed).toEqual([]);
  });

  it('may come by GET, which caches like', async () => {
    await start();
    const response = await fetch(`${tiny!.url}?documentId=${hash(ME)}`, {
      headers: { 'apollo-require-preflight': '1' },
    });
    expect(await response.json()).toEqual({ data: { me: { id: '1' } } });
  });
});

describe('what is not registered', () => {
  it.each([
    ['an unknown id', { documentId: hash('x') }, 200, 'PERSISTED_QUERY_NOT_FOUND'],
    ['an unknown hash of Apollo’s', apollo('x'), 200, 'PERSISTED_QUERY_NOT_FOUND'],
    ['another version of Apollo’s', apollo(ME, 2), 400, 'BAD_REQUEST'],
    ['an id that is a list', { documentId: [hash(ME)] }, 400, 'BAD_REQUEST'],
    ['an id and another text', { documentId: hash(ME), query: '{me{friends{id}}}' }, 400, 'BAD_REQUEST'],
    ['two ids', { documentId: hash(ME), ...apollo(TOO_DEEP) }, 400, 'BAD_REQUEST'],
    ['neither id nor text', {}, 400, 'BAD_REQUEST'],
    ['__proto__', { documentId: '__proto__' }, 200, 'PERSISTED_QUERY_NOT_FOUND'],
  ])('%s: nothing runs', async (_what, body, status, code) => {
    await start();
    expect(await ask(body)).toEqual([status, code]);
    expect(tiny!.executed).toEqual([]);
  });

  it('a text runs without SAFELIST, and with it does not, whatever it is called', async () => {
    await start();
    expect(await ask({ query: '{ me { id } }' })).toEqual([200, { me: { id: '1' } }]);
    documents!.close();
    await tiny!.close();
    await start({ safelist: true });
    const within = ['{ me { id } }', '{me{id }}', '{me\n{id}}', `${ME}#`, `${ME}{__typename}`, `,${ME}`];
    for (const query of [...within, 'query __schema {me{id}}', '{__typename}'])
      expect([query, ...(await ask({ query }))]).toEqual([query, 403, 'FORBIDDEN']);
    expect(await ask({ query: '{ me { id } }', ...apollo('{ me { id } }') })).toEqual([403, 'FORBIDDEN']);
    expect(tiny!.executed).toEqual([]);
  });
});

describe('the file', () => {
  it('is looked at again; one that is broken leaves the last good one', async () => {
    await start({ safelist: true, content: manifest(ME) });
    const other = '{me{friends{id}}}';
    expect(await ask({ query: other })).toEqual([403, 'FORBIDDEN']);
    writeFileSync(file, manifest(ME, other));
    while ((await ask({ query: other }))[0] !== 200) await new Promise((go) => setTimeout(go, 10));
    writeFileSync(file, '{"format":');
    await new Promise((go) => setTimeout(go, 60));
    expect(await ask({ query: other })).toEqual([200, { me: { friends: [] } }]);
  });

  const OTHER = '{me{friends{id}}}';
  const until = async (holds: () => boolean): Promise<void> => {
    for (const deadline = Date.now() + 30_000; !holds() && Date.now() < deadline;)
      await new Promise((go) => setTimeout(go, 5));
    expect(holds()).toBe(true);
  };

  it('is another one also when its date is not: a copy that keeps it, an image whose files are all of one day', async () => {
    const day = new Date('2020-01-01');
    const write = (...texts: string[]): void => {
      writeFileSync(`${file}.new`, manifest(...texts));
      utimesSync(`${file}.new`, day, day);
      renameSync(`${file}.new`, file);
    };
    await start();
    write(ME);
    await until(() => documents!.size === 1);
    const { mtimeMs } = statSync(file);
    write(OTHER, ME);
    await until(() => documents!.size === 2);
    expect(await ask({ documentId: hash(OTHER) })).toEqual([200, { me: { friends: [] } }]);
    // Of the same length, too.
    write('{me{__typename}}');
    await until(() => documents!.size === 1);
    write('{me{friends{a}}}');
    await until(() => documents!.has('{me{friends{a}}}'));
    // Control: by the date alone, all of these were one.
    expect(statSync(file).mtimeMs).toBe(mtimeMs);
  });

  it('that is gone or broken is told once each, and no more when it is back, though it is the same', async () => {
    const said: string[] = [];
    const logger = {
      ...silent,
      error: ({ error }: { error: string }) => said.push(error),
      info: () => undefined,
    } as unknown as Logger;
    const place = join(folder, 'place');
    mkdirSync(place);
    file = join(place, 'documents.json');
    await start({ content: manifest(ME), logger });
    expect(documents!.trouble).toBeUndefined();
    // Of a folder that is moved away and back no file has changed.
    renameSync(place, `${place}.away`);
    await until(() => documents!.trouble !== undefined);
    await new Promise((go) => setTimeout(go, 100));
    expect(said).toEqual([expect.stringContaining('ENOENT')]);
    renameSync(`${place}.away`, place);
    await until(() => documents!.trouble === undefined);
    writeFileSync(file, '{"format":');
    await until(() => documents!.trouble !== undefined);
    await new Promise((go) => setTimeout(go, 100));
    expect(said).toEqual([expect.stringContaining('ENOENT'), expect.stringContaining('JSON')]);
    expect([documents!.size, documents!.has(ME)]).toEqual([1, true]);
    writeFileSync(file, manifest(ME, OTHER));
    await until(() => documents!.trouble === undefined && documents!.size === 2);
  });

  it('with documents that cannot run is told of once for each load and schema, with the first of them and why; control: all can', async () => {
    const lines: [object, string][] = [];
    const logger: Logger = { ...silent, warn: (fields, message) => void lines.push([fields, message]) };
    await start({ content: manifest(ME), logger });
    const unfit = new UnfitDocuments(documents!, logger);
    await unfit.look(undefined);
    await unfit.look(tiny!.documents);
    expect(lines).toEqual([]);
    const [broken, foreign] = ['{me{', '{me{name}}'];
    writeFileSync(file, manifest(ME, foreign, broken, TOO_DEEP));
    await until(() => documents!.size === 4);
    await unfit.look(tiny!.documents);
    const fields = { unfit: 3, documents: 4, ids: [foreign, broken, TOO_DEEP].map(hash) };
    const says = `A document of PERSISTED_DOCUMENTS cannot run, ${hash(foreign)}: Cannot query field "name" on type "Person".`;
    expect(lines).toEqual([[fields, says]]);
    await unfit.look(tiny!.documents);
    expect(lines).toHaveLength(1);
    // Another schema is another look, and of two at once the older one says nothing.
    const again = await startTinyHttp(schema, {}, {});
    await Promise.all([unfit.look(again.documents), unfit.look(tiny!.documents)]);
    await again.close();
    expect(lines).toHaveLength(2);
    // None of it is remembered where texts of clients are.
    expect(tiny!.documents.size).toBe(0);
  });

  it('takes what Relay’s compiler writes as well', () => {
    expect([...readManifest(JSON.stringify({ abc: ME }))]).toEqual([['abc', ME]]);
  });

  it.each(['', '[]', 'null', '{"a":1}', '{"format":"apollo-persisted-query-manifest","version":2,"operations":[]}'])(
    'that says %s is refused with what was expected',
    (json) => expect(() => readManifest(json)).toThrow(/JSON|Registered documents are/),
  );
});
