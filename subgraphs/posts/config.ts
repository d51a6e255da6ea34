import { missingBeside, serviceSettings } from '#libs/service-settings';
import { readSettings, whole, type Environment, type Values } from '#libs/settings';
import type { TimelineLimits } from './timeline/lists.js';

export const postsSettings = {
  ...serviceSettings(4002),
  TIMELINE_PUSH_MAX: whole({
    min: 0,
    max: 10_000_000,
    unit: 'followers',
    default: 2_000,
    why: 'Posts of people with more followers are merged into home timelines by those who read, and not pushed: see docs/decisions/0011.',
  }),
  TIMELINE_LENGTH: whole({
    min: 1,
    max: 10_000,
    unit: 'posts',
    default: 200,
    why: 'How many posts a home timeline keeps ready, and until it is shortened some more, 128 on average; older pages are as right and take longer.',
  }),
  TRENDING_REFRESH_S: whole({
    min: 1,
    max: 86_400,
    unit: 's',
    default: 60,
    why: 'How often the trending posts are computed anew; the API tells when they were.',
  }),
};

export type PostsConfig = Values<typeof postsSettings>;

export function readPostsConfig(env: Environment): PostsConfig {
  return readSettings(postsSettings, env, (values) => missingBeside('posts', values));
}

export function timelineLimits(config: Pick<PostsConfig, 'TIMELINE_PUSH_MAX' | 'TIMELINE_LENGTH'>): TimelineLimits {
  return { pushMax: config.TIMELINE_PUSH_MAX, length: config.TIMELINE_LENGTH, trimEvery: 128, sliceMax: 200 };
}
