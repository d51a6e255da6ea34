import { missingBeside, serviceSettings } from '#libs/service-settings';
import { readSettings, type Environment, type Values } from '#libs/settings';

export const followersSettings = serviceSettings(4003);

export type FollowersConfig = Values<typeof followersSettings>;

export function readFollowersConfig(env: Environment): FollowersConfig {
  return readSettings(followersSettings, env, (values) => missingBeside('followers', values));
}
