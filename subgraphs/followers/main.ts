import { requireOpenFiles, SERVICE_FILES_MIN } from '#libs/lifecycle';

requireOpenFiles('followers', SERVICE_FILES_MIN);
const { runProgram } = await import('#libs/subgraph-kit');
const { followersSettings, readFollowersConfig } = await import('./config.js');
const { startFollowers } = await import('./start.js');

await runProgram('followers', process.env, { settings: followersSettings, read: readFollowersConfig }, startFollowers);
