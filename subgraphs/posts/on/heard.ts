import type { Handlers } from '#libs/outbox';
import { blockEnded } from './block-ended.js';
import { blockStarted } from './block-started.js';
import { followEnded } from './follow-ended.js';
import { followStarted } from './follow-started.js';
import { accountFrozen, accountThawed, stepAsked, userDeleted } from './deletion.js';
import { heardAgain, toTimelines } from './own-posts.js';
import { userRegistered } from './user-registered.js';

/** Every event that posts hears, and what it does about it. */
export const HEARD: Handlers = {
  'user-registered': userRegistered,
  'account-frozen': accountFrozen,
  'account-thawed': accountThawed,
  'user-deleted': userDeleted,
  'deletion-step-asked': stepAsked,
  'follow-started': followStarted,
  'follow-ended': followEnded,
  'block-started': blockStarted,
  'block-ended': blockEnded,
  'post-published': toTimelines,
  'post-edited': heardAgain,
  'post-deleted': heardAgain,
  'post-restored': toTimelines,
  'post-liked': heardAgain,
  'post-unliked': heardAgain,
};
