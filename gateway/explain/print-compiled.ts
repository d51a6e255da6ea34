import { parse, print } from 'graphql';
import { printPath, printRequired } from '../plan/print-plan.js';
import type { Compiled, CompiledFetch } from '../run/compile.js';

/** What is run: the plan's steps dissolved into what each fetch really waits for. */
export function printCompiled(compiled: Compiled): string {
  if (compiled.fetches.length === 0) return 'Nothing is fetched.';
  return compiled.fetches.map((fetch) => [headline(fetch, compiled.fetches), ...body(fetch)].join('\n')).join('\n\n');
}

function headline(fetch: CompiledFetch, all: readonly CompiledFetch[]): string {
  const waits = all.filter(({ next }) => next.includes(fetch)).map(({ id }) => `#${id}`);
  const kind = fetch.kind === 'entities' ? 'entities' : fetch.mutation ? 'mutation' : 'query';
  const when = waits.length === 0 ? 'at once' : `after ${waits.join(' and ')}`;
  return `#${fetch.id} ${kind} ${fetch.subgraph}, ${when}`;
}

function body(fetch: CompiledFetch): string[] {
  if (fetch.kind === 'root') {
    const where = fetch.locator.keys.length === 0 ? 'the root' : fetch.locator.keys.join('.');
    return [
      ...(fetch.variables.length === 0 ? [] : [`  variables: ${fetch.variables.map((name) => `$${name}`).join(' ')}`]),
      `  goes to: ${where}, as ${fetch.topKeys.join(' ')}`,
      ...operationLines(fetch.operation),
    ];
  }
  return fetch.units.flatMap((unit) => [
    `  for each of: ${unit.locators.map(({ path }) => printPath(path)).join(' and ')}`,
    `  represented by: { ${unit.represent.requires.map(printRequired).join(' ')} }`,
    ...(unit.variables.length === 0 ? [] : [`  variables: ${unit.variables.map(({ name }) => `$${name}`).join(' ')}`]),
    `  goes there, as ${unit.topKeys.join(' ')}`,
    ...operationLines(unit.alone.operation),
  ]);
}

function operationLines(operation: string): string[] {
  return print(parse(operation))
    .split('\n')
    .map((line) => `    ${line}`);
}
