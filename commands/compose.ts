import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { compose, type ServiceSdl } from '../gateway/supergraph/compose.js';
import { SupergraphError } from '../gateway/supergraph/supergraph.js';

/** The addresses are placeholders: `SUBGRAPH_URL_<NAME>` says where a service really is. */
export const SERVICES = [
  { name: 'users', url: 'http://127.0.0.1:4001/graphql' },
  { name: 'posts', url: 'http://127.0.0.1:4002/graphql' },
  { name: 'followers', url: 'http://127.0.0.1:4003/graphql' },
] as const;

export const SUPERGRAPH_FILE = 'schema/supergraph.graphql';

/** What each service promised at the last release: its schema.graphql of then. `test/contracts` holds the services to it. */
export const CONTRACTS_DIR = 'schema/contracts';

/** The three services' schemas as they lie in the repository (the working directory) → one supergraph. */
export async function composeRepository(): Promise<string> {
  const services: ServiceSdl[] = await Promise.all(
    SERVICES.map(async ({ name, url }) => {
      const from = `subgraphs/${name}/schema.graphql`;
      return { name, url, from, sdl: await readFile(from, 'utf8') };
    }),
  );
  return compose(services);
}

/**
 * `npm run compose` writes the file; `npm run compose -- --check` only says whether it is fresh; `npm run compose -- --accept`,
 * at a release, makes what the services say now their contracts.
 */
export async function composeCommand(args: readonly string[]): Promise<number> {
  const sdl = await composeRepository();
  const committed = await readFile(SUPERGRAPH_FILE, 'utf8').catch(() => '');
  if (args.includes('--check')) {
    if (sdl === committed) return 0;
    process.stderr.write(
      `${SUPERGRAPH_FILE} is not what subgraphs/*/schema.graphql compose to; run \`npm run compose\` and commit it.\n`,
    );
    return 1;
  }
  if (args.includes('--accept')) {
    for (const { name } of SERVICES)
      await copyFile(`subgraphs/${name}/schema.graphql`, `${CONTRACTS_DIR}/${name}.graphql`);
  }
  await writeFile(SUPERGRAPH_FILE, sdl);
  process.stdout.write(
    `${SUPERGRAPH_FILE}: ${sdl === committed ? 'unchanged' : 'written'} (${sdl.split('\n').length - 1} lines)\n`,
  );
  return 0;
}

/** True when this file is the program that was started, by itself or through commands/run.mjs. */
if (process.argv[1] === 'compose' || process.argv[1]?.endsWith('/compose.js')) {
  process.exitCode = await composeCommand(process.argv.slice(2)).catch((error: unknown) => {
    if (!(error instanceof SupergraphError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  });
}
