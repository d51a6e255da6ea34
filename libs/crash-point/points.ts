/**
 * Every place at which the proof kills a process, by the step of a fact's way that it interrupts. One line here and one
 * `crashPoint(name)` there make a new one; `npm run prove` fails when a point of a step that it runs is never reached.
 */
export const CRASH_POINTS = {
  // write: libs/outbox/record-event.ts, libs/database/database.ts
  'begin:before': 'a connection is there, the BEGIN of a transaction is not sent (of a writer, a relay or a consumer)',
  'write:recorded': 'the fact and its event are written, not committed',
  'commit:before': 'all of a transaction is done, its COMMIT is not sent (of a writer, a relay or a consumer)',
  'commit:after': 'the COMMIT is answered, nobody has been told',
  // relay: libs/outbox/relay.ts
  'relay:read': 'a batch is read, nothing of it published',
  'relay:published': 'the stream has the batch, the outbox does not know it',
  'relay:marked': 'the batch is marked as published',
  // consume: libs/outbox/consume.ts, redis-subscription.ts
  'consume:given': 'the stream gave a batch, no transaction is open',
  'consume:arrived': 'the inbox rows are written, the effects are not',
  'consume:done': 'inbox rows and effects are written, not committed',
  'consume:committed': 'they are committed, the stream does not know it',
  'consume:held': 'an event was put into the quarantine, the stream does not know it',
  'consume:retried':
    'an event of the quarantine took effect, the mark that something is to be dropped because of it is still there',
  // bring: libs/outbox/consume.ts; what a gateway brings is heard beside the proof of events, see test/faults/killed-before-the-drop.test.ts
  'bring:heard': 'what was brought past the stream took effect, its mark is still there',
  // project: subgraphs/posts/timeline/deliver.ts, backfill.ts, libs/read-model/rebuild.ts
  'project:delivered': 'a slice of followers has a post, nothing says so yet',
  'project:backfilled': 'what new followees published is copied, not committed',
  'project:filled': 'a slice of the second version is filled, its cursor is where it was',
  'project:compared': 'a slice of both versions is compared, not noted',
  'project:switching': 'all is compared, the second version is to answer, not committed',
  'project:switched': 'the second version answers, the first is not emptied',
  // saga: libs/saga/participant.ts, subgraphs/users/deletion.store.ts, subgraphs/users/on/step-ended.ts
  'saga:slice': 'a slice of a step is worked off, not committed',
  'saga:sliced': 'it is committed, the next one was not begun',
  'saga:told': 'the end of a step is told, not committed',
  'saga:advance': 'what a deletion does next is about to be decided',
  'saga:erased': 'the account is erased past return, not committed',
  'saga:heard': 'an answer and what follows from it are written, not committed',
} as const;

export type CrashPoint = keyof typeof CRASH_POINTS;
