import { startService, type RunningSubgraph, type ServiceParts } from '#libs/subgraph-kit';
import type { PostsConfig } from './config.js';
import { HEARD } from './on/heard.js';
import { postsModule } from './posts.module.js';
import { postsTables } from './posts.tables.js';

export function startPosts(config: PostsConfig, parts: ServiceParts): Promise<RunningSubgraph> {
  return startService({ name: 'posts', tables: postsTables, hear: HEARD, module: postsModule }, config, parts);
}
