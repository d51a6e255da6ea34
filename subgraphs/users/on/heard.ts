import type { Handlers } from '#libs/outbox';
import type { Patience } from '../deletion.store.js';
import { userDeleted } from './deletion.js';
import {
  blockEnded,
  blockStarted,
  followEnded,
  followStarted,
  holdNotified,
  postDeleted,
  postLiked,
  postPublished,
  postRestored,
  postUnliked,
} from './notify.js';
import { onOwnEvent } from './own-events.js';
import { onStepEnded } from './step-ended.js';
import { onStepGoesOn } from './step-goes-on.js';

/** Every event that users hears, and what it does about it. */
export function heardBy(patience: Patience): Handlers {
  const stepEnded = onStepEnded(patience);
  const stepGoesOn = onStepGoesOn(patience);
  return {
    first: holdNotified,
    'user-registered': onOwnEvent,
    'profile-edited': onOwnEvent,
    'account-frozen': onOwnEvent,
    'account-thawed': onOwnEvent,
    'user-deleted': userDeleted,
    'follow-started': followStarted,
    'follow-ended': followEnded,
    'block-started': blockStarted,
    'block-ended': blockEnded,
    'post-published': postPublished,
    'post-deleted': postDeleted,
    'post-restored': postRestored,
    'post-liked': postLiked,
    'post-unliked': postUnliked,
    'posts-step-ended': stepEnded,
    'follows-step-ended': stepEnded,
    'posts-step-goes-on': stepGoesOn,
    'follows-step-goes-on': stepGoesOn,
  };
}
