import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/** Preloaded into a service that is deployed with another schema than its gateway knows: in its schema.graphql `OTHER_SCHEMA` says `from=>to`. */
const read = fs.readFileSync;
const [from = '', to = ''] = (process.env['OTHER_SCHEMA'] ?? '').split('=>');

fs.readFileSync = ((path: Parameters<typeof read>[0], options?: Parameters<typeof read>[1]) => {
  const text = read(path, options);
  if (!String(path).endsWith('schema.graphql') || typeof text !== 'string' || from === '') return text;
  if (!text.includes(from)) throw new Error(`${String(path)} has no ${from}`);
  return text.replace(from, to);
}) as typeof read;
syncBuiltinESMExports();
