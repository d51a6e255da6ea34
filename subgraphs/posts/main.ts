import { requireOpenFiles, SERVICE_FILES_MIN } from '#libs/lifecycle';

requireOpenFiles('posts', SERVICE_FILES_MIN);
const { runProgram } = await import('#libs/subgraph-kit');
const { postsSettings, readPostsConfig } = await import('./config.js');
const { startPosts } = await import('./start.js');

await runProgram('posts', process.env, { settings: postsSettings, read: readPostsConfig }, startPosts);
