/** Our three subgraphs in one process, each on its port, as `npm start` has them; told by the environment where everything is. */
import 'reflect-metadata';
import { openStream } from '../../dist/libs/outbox/index.js';
import { LISTENERS } from '../../dist/libs/events/index.js';
import { createLogger, silent } from '../../dist/libs/telemetry/index.js';
import { readFollowersConfig } from '../../dist/subgraphs/followers/config.js';
import { startFollowers } from '../../dist/subgraphs/followers/start.js';
import { readPostsConfig } from '../../dist/subgraphs/posts/config.js';
import { startPosts } from '../../dist/subgraphs/posts/start.js';
import { readUsersConfig } from '../../dist/subgraphs/users/config.js';
import { startUsers } from '../../dist/subgraphs/users/start.js';

const level = process.env.BENCH_LOG;
const logger = level ? createLogger('services', level) : silent;
const parts = {
  stream: openStream({ redisUrl: process.env.REDIS_URL, logger, listeners: LISTENERS }),
  logger,
};
const env = (service) => ({
  ...process.env,
  PORT: '0',
  DATABASE_URL: process.env[`${service.toUpperCase()}_DATABASE_URL`],
  ASSERTION_SECRET: process.env[`ASSERTION_SECRET_${service}`],
});
const running = {
  users: await startUsers(readUsersConfig(env('users')), parts),
  posts: await startPosts(readPostsConfig(env('posts')), parts),
  followers: await startFollowers(readFollowersConfig(env('followers')), parts),
};
process.send({ urls: Object.fromEntries(Object.entries(running).map(([name, { url }]) => [name, url])) });
process.once('disconnect', () => process.exit(0));
