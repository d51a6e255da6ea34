import { runProgram } from '#libs/subgraph-kit';
import { readFollowersConfig } from './config.js';
import { startFollowers } from './start.js';

await runProgram('followers', process.env, readFollowersConfig, startFollowers);
