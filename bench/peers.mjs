/** Who is measured: each a process of its own, told by its environment what to serve and which header to pass on. */
import { fileURLToPath } from 'node:url';

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const hive = here('node_modules/@graphql-hive/gateway/dist/bin.js');
const gateway = here('../dist/gateway/main.js');

export const peers = {
  apollo: { label: '@apollo/gateway on Apollo Server', path: '/', args: [here('peers/apollo.mjs')] },
  hive: {
    label: 'Hive Gateway, TypeScript',
    path: '/graphql',
    args: [hive, 'supergraph', '-c', here('peers/hive.config.mjs')],
  },
  'hive-rust': {
    label: 'Hive Gateway, Rust planner',
    path: '/graphql',
    args: [hive, 'supergraph', '--hive-router-runtime', '-c', here('peers/hive.config.mjs')],
  },
  mercurius: {
    label: 'Mercurius gateway (Federation 1)',
    path: '/graphql',
    args: [here('peers/mercurius/gateway.mjs')],
  },
  floor: { label: 'the floor: Node http + undici', path: '/', args: [here('peers/floor.mjs')] },
  ours: { label: 'Tributary', path: '/graphql', args: [gateway], ours: true, env: {} },
  'ours-join-off': {
    label: 'Tributary, JOIN=off',
    path: '/graphql',
    args: [gateway],
    ours: true,
    env: { JOIN: 'off' },
  },
  'ours-merge-plan': {
    label: 'Tributary, MERGE=plan',
    path: '/graphql',
    args: [gateway],
    ours: true,
    env: { MERGE: 'plan' },
  },
  'ours-planner-apollo': {
    label: 'Tributary, PLANNER=apollo',
    path: '/graphql',
    args: [gateway],
    ours: true,
    env: { PLANNER: 'apollo' },
  },
};

/** What a peer gets to know. Ours: what `npm run gateway` needs to be told, and nothing else. */
export function environmentOf(peer, { supergraph, services, port, forwarded, ours = {} }) {
  const own = peer.ours
    ? {
        SUPERGRAPH: supergraph,
        ENGINE: 'tributary',
        ...(forwarded ? { FORWARD_HEADERS: 'authorization' } : {}),
        ...peer.env,
        ...ours,
      }
    : { SUPERGRAPH: supergraph, SERVICES: services, SUBGRAPHS: services, FORWARD: forwarded ? 'authorization' : '' };
  const { PATH, HOME, TMPDIR } = process.env;
  return {
    PATH,
    HOME,
    ...(TMPDIR ? { TMPDIR } : {}),
    NODE_ENV: 'production',
    // As the image and `npm run gateway` have it; for everybody.
    MALLOC_ARENA_MAX: '2',
    HOST: '127.0.0.1',
    PORT: String(port),
    ...own,
  };
}
