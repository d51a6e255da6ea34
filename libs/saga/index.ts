export { stuckSteps } from './gauges.js';
export { LATE, othersOfNow } from './late.js';
export { eraseLeftBehind, type LeftBehind } from './left-behind.js';
export {
  PARTS_INDEXES,
  PARTS_PROGRESS,
  PARTS_TABLE,
  type Outcome,
  type Part,
  type Saga,
  type Slice,
  type StepOf,
} from './part.js';
export { beginStep, partOf, startParticipant, type Begun, type Participant } from './participant.js';
export { whyNothingIsDone } from './leaving.js';
export { StepsGoOnMigration } from './migration.js';
