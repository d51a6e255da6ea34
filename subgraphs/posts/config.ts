import { readSettings, type Environment, type Values } from '#libs/settings';
import { missingSecrets, serviceSettings } from '#libs/subgraph-kit';

export const postsSettings = serviceSettings(4002);

export type PostsConfig = Values<typeof postsSettings>;

export function readPostsConfig(env: Environment): PostsConfig {
  return readSettings(postsSettings, env, (values) => missingSecrets('posts', values));
}
