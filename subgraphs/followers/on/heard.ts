import type { Handlers } from '#libs/outbox';
import { accountFrozen, accountThawed, stepAsked, userDeleted } from './deletion.js';
import { onOwnEvent } from './own-events.js';
import { onUserRegistered } from './user-registered.js';

/** Every event that followers hears, and what it does about it. */
export const HEARD: Handlers = {
  'user-registered': onUserRegistered,
  'account-frozen': accountFrozen,
  'account-thawed': accountThawed,
  'user-deleted': userDeleted,
  'deletion-step-asked': stepAsked,
  'follow-started': onOwnEvent,
  'follow-ended': onOwnEvent,
  'block-started': onOwnEvent,
  'block-ended': onOwnEvent,
};
