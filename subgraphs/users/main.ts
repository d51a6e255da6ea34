import { requireOpenFiles, SERVICE_FILES_MIN } from '#libs/lifecycle';

requireOpenFiles('users', SERVICE_FILES_MIN);
const { runProgram } = await import('#libs/subgraph-kit');
const { usersSettings, readUsersConfig } = await import('./config.js');
const { startUsers } = await import('./start.js');

await runProgram('users', process.env, { settings: usersSettings, read: readUsersConfig }, startUsers);
