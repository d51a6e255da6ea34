import { readFile, writeFile } from 'node:fs/promises';
import { CODES } from '#libs/failure';
import type { Settings } from '#libs/settings';
import { gatewaySettings } from '../gateway/config.js';
import { followersSettings } from '../subgraphs/followers/config.js';
import { postsSettings } from '../subgraphs/posts/config.js';
import { usersSettings } from '../subgraphs/users/config.js';
import { startSettings } from './databases.js';
import { eventsPage } from './events-page.js';

/** `npm run docs` writes the pages that are printed from tables in the code; with `--check` it only says whether they are fresh. */
const pages: Readonly<Record<string, () => string>> = {
  'docs/settings.md': settingsPage,
  'docs/errors.md': errorsPage,
  'docs/events.md': eventsPage,
};

const stale: string[] = [];
for (const [file, print] of Object.entries(pages)) {
  const text = print();
  if (text === (await readFile(file, 'utf8').catch(() => ''))) continue;
  if (process.argv.includes('--check')) stale.push(file);
  else {
    await writeFile(file, text);
    console.log(`${file} written`);
  }
}
if (stale.length > 0) {
  console.error(`${stale.join(', ')}: not what the code says; run \`npm run docs\` and commit it.`);
  process.exitCode = 1;
}

function settingsPage(): string {
  return `# Settings

Environment variables; an empty one counts as absent. Every mistake is reported at once, before anything is started, those in files that
settings name as well.

A variable that is nearly a setting and is none (\`COST_LIMT\`, \`SUBGRAPH_TIMEOUT\` without its unit, \`SUBGRAPH_URL_NOPE\` where no subgraph is
called so), or that another program heeds and this one does not (\`WORKERS\` with npm start), is a warning in the log when a program starts,
with its name, what was probably meant, and never its value. What is nearer to nothing here than that is somebody else's.

A secret or key that anybody would try first (a few characters or a short text again and again, characters in a row, the words of an example) is a mistake
with \`NODE_ENV=production\`. Elsewhere it is taken, so that nobody's trial stops, and a warning says so when a program starts. What \`openssl rand\` makes is
never one, nor is a phrase of words, which nobody can tell from one that was drawn. Nobody looks at the passwords in \`DATABASE_URL\` and \`REDIS_URL\`.

Printed from the programs' \`config.ts\` by \`npm run docs\`.

## gateway

${settingsTable(gatewaySettings)}
| \`SUBGRAPH_URL_<NAME>\` | an address that begins with http: or https: | | Replaces the address that the supergraph has for the subgraph <NAME>. |
| \`ASSERTION_SECRET_<NAME>\` | at least 32 characters | | What the gateway shares with the subgraph <NAME>; a secret. |

## npm start

Takes every setting of the gateway and the subgraphs (\`PORT\` is the gateway's), and:

${settingsTable(startSettings)}

## users

${settingsTable(usersSettings)}

## posts

${settingsTable(postsSettings)}

## followers

${settingsTable(followersSettings)}
`;
}

function settingsTable(settings: Settings): string {
  const rows = Object.entries(settings).map(([name, setting]) => {
    const standard =
      setting.default === undefined
        ? ''
        : Array.isArray(setting.default)
          ? setting.default.join(', ')
          : typeof setting.default === 'string'
            ? setting.default
            : JSON.stringify(setting.default);
    return `| \`${name}\` | ${setting.takes} | ${standard} | ${setting.why}${setting.secret ? ' A secret.' : ''} |`;
  });
  return ['| variable | takes | default | why |', '|---|---|---|---|', ...rows].join('\n');
}

function errorsPage(): string {
  const rows = Object.entries(CODES).map(
    ([code, { status, retry, says, message }]) =>
      `| \`${code}\` | ${status} | ${retry ? 'yes' : 'no'} | ${says ? `what was expected, what came, what to do; else “${message}”` : `“${message}”`} |`,
  );
  return `# Errors

Every error that a client gets has \`extensions.code\` from this table and \`extensions.requestId\`, by which the log has the
whole of it. Printed from \`libs/failure/codes.ts\` by \`npm run docs\`.

- A request that fails before anything was executed has the HTTP status of its code and no \`data\`. \`BAD_REQUEST\` comes with 404, 405, 406, 408,
  413, 415, 417 and 431 as well, which say what is wrong with it.
- A field that fails is null, with an entry in \`errors\` whose \`path\` leads to it; the status is 200.
- What an account that is being deleted is told, by whichever service, is [a table](path-of-a-write.md#a-write-of-many-services).
- A reference to somebody or something that is not there (any more), \`author\` say, is null without an entry: nothing failed. What a mutation
  answers of what it did is told: \`DONE_NOT_SHOWN\` where that is not there.
- \`RATE_LIMITED\` says in \`extensions.retryAfter\` how many seconds to wait, where that is known, and so does \`OVERLOADED\` of a field of which the gateway
  could not ask a service, or of a write for which a database has no room on its disk (30). The header \`Retry-After\` comes with the statuses 409 (\`IDEMPOTENCY_KEY_IN_USE\`), 429, 502, 503 and 504 only: an answer of 200 may have
  other fields in it.
- *retry*: may the same request, unchanged, succeed later? A mutation that may have been done (\`SUBGRAPH_TIMEOUT\`, \`SUBGRAPH_UNAVAILABLE\`, \`GATEWAY_TIMEOUT\`) is sent
  again with the same [\`Idempotency-Key\`](repeating-a-mutation.md), or after a look; what fails below its root field, whatever the code, is done.
- Of a mutation, a field with \`NOT_CAUGHT_UP\` was refused before any of it was done: send it again. One with \`DONE_NOT_SHOWN\`, at its path or
  below, is done, also where it is null: do not send it again (with the same [\`Idempotency-Key\`](repeating-a-mutation.md) it does no
  harm), but read what you want to show.

| code | status | retry | message |
|---|---|---|---|
${rows.join('\n')}
`;
}
