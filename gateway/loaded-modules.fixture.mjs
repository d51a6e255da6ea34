// Preloaded by licences.test.ts: writes every module that the process loads, in any of its threads, to LOADED_FILE.
import { appendFileSync } from 'node:fs';
import Module, { register } from 'node:module';

const file = process.env.LOADED_FILE;
const hooks = `import { appendFileSync } from 'node:fs';
export async function load(url, context, next) {
  appendFileSync(${JSON.stringify(file)}, url + '\\n');
  return next(url, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
// What CommonJS requires does not pass the hooks of Node 20. Written at once, for a thread may be ended at any time.
const resolve = Module._resolveFilename;
Module._resolveFilename = (...asked) => {
  const path = resolve(...asked);
  appendFileSync(file, `${path}\n`);
  return path;
};
