import { runProgram } from '#libs/subgraph-kit';
import { readPostsConfig } from './config.js';
import { startPosts } from './start.js';

await runProgram('posts', process.env, readPostsConfig, startPosts);
