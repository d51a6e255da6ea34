import { expect, it } from '@jest/globals';
import { readStartSettings } from './databases.js';

it.each([
  [['USERS'], 'POSTS_DATABASE_URL and FOLLOWERS_DATABASE_URL are missing beside USERS_DATABASE_URL: '],
  [['USERS', 'POSTS'], 'FOLLOWERS_DATABASE_URL is missing beside USERS_DATABASE_URL and POSTS_DATABASE_URL: '],
])('of databases of their own all services have one: with %j alone it says which is missing', (given, says) => {
  const env = Object.fromEntries(given.map((name) => [`${name}_DATABASE_URL`, 'postgres://u:hunter2@db/x']));
  const reading = () => readStartSettings({ ...env, ASSERTION_SECRET: 's'.repeat(32) });
  expect(reading).toThrow(says);
  expect(reading).not.toThrow('hunter2');
});
