import { print } from 'graphql';
import type { Case } from './conform.js';
import type { Told } from './world.js';

/** A case as a person reads it: what each subgraph says, what was asked, and what was answered. */
export function tell({ world, nth, way, why, verdict, sdl, question, moment, truth, came, said }: Case): string {
  const fails = [...moment.failing, ...(moment.down === undefined ? [] : [`all of ${moment.down}`])];
  return [
    `── World ${world}, operation ${nth}: ${way} is ${verdict}: ${why} ──`,
    ...Object.entries(sdl).map(([name, text]) => `# subgraph ${name}\n${text.replace(/^extend schema[^)]*\)\s*/, '')}`),
    '# operation',
    print(question.document),
    `# variables ${JSON.stringify(question.variables)}${fails.length > 0 ? `; fails: ${fails.join(', ')}` : ''}`,
    `# graphql-js over the whole schema\n${answer(truth)}`,
    `# ${way}\n${answer(came)}`,
    ...(came.calls ?? []).map((call) => `#   asked ${call}`),
    ...said.map((one) => `#   ${one}`),
    '',
  ].join('\n');
}

function answer({ data, messages }: Told): string {
  return [JSON.stringify(data), ...messages.map((message) => `  ${message}`)].join('\n');
}
