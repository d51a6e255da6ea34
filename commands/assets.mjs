// What the builder does not carry into dist: the playground's page and the four files of GraphiQL and React, which are dev
// dependencies so that nobody installs 52 MB to run a gateway.
import { cpSync, copyFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const playground = join(root, 'dist/gateway/http/playground');

mkdirSync(playground, { recursive: true });
cpSync(join(root, 'gateway/http/playground'), playground, { recursive: true });
for (const file of [
  'graphiql/graphiql.min.js',
  'graphiql/graphiql.min.css',
  'react/umd/react.production.min.js',
  'react-dom/umd/react-dom.production.min.js',
]) {
  copyFileSync(join(root, 'node_modules', file), join(playground, file.slice(file.lastIndexOf('/') + 1)));
}
