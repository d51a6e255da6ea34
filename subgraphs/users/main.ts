import { runProgram } from '#libs/subgraph-kit';
import { readUsersConfig } from './config.js';
import { startUsers } from './start.js';

await runProgram('users', process.env, readUsersConfig, startUsers);
