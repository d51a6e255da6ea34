import type { Tx } from '#libs/database';

export type Saga = 'orchestrated' | 'choreographed';

/** One deletion of one account, as a service that takes part in it remembers it. */
export interface Part<Step extends string = string> {
  readonly deletionId: string;
  readonly userId: string;
  readonly saga: Saga;
  readonly step: Step;
  /** Where the last slice ended, in the step's own words; '' at its beginning. */
  readonly cursor: string;
}

export type Outcome = 'done' | 'failed';

/**
 * What a step does, a bounded number of rows at a time, in the caller's transaction. Answers the cursor of the next slice,
 * undefined when nothing is left. It may run again from any cursor.
 */
export type Slice<Step extends string> = (tx: Tx, part: Part<Step>) => Promise<string | undefined>;

/** A step and, where there is a way back, the one that undoes it. What has none is tried for as long as it takes. */
export interface StepOf<Step extends string> {
  readonly slice: Slice<Step>;
  readonly undo?: Step;
}

/** The table of a service that takes part; its migration makes it. */
export const PARTS_TABLE = `CREATE TABLE deletion_parts (
  deletion_id uuid CONSTRAINT deletion_parts_pk PRIMARY KEY,
  user_id uuid NOT NULL,
  saga text NOT NULL,
  step text NOT NULL,
  state text NOT NULL CONSTRAINT deletion_parts_state CHECK (state IN ('working', 'done', 'failed')),
  -- The step that gave up and is being undone.
  failing text,
  cursor text NOT NULL DEFAULT '',
  tries integer NOT NULL DEFAULT 0,
  reason text,
  due_at timestamptz(3) NOT NULL DEFAULT now(),
  -- The number of events that were told of it.
  version integer NOT NULL DEFAULT 0
)`;
export const PARTS_INDEXES = [
  `CREATE INDEX deletion_parts_due ON deletion_parts (due_at) WHERE state = 'working'`,
  'CREATE INDEX deletion_parts_of_user ON deletion_parts (user_id)',
];

/** A later migration: how many slices are done, and of how many it was told that the step goes on. */
export const PARTS_PROGRESS = [
  'ALTER TABLE deletion_parts ADD COLUMN slices integer NOT NULL DEFAULT 0',
  'ALTER TABLE deletion_parts ADD COLUMN slices_told integer NOT NULL DEFAULT 0',
];
export const PARTS_PROGRESS_BACK = [
  'ALTER TABLE deletion_parts DROP COLUMN slices_told',
  'ALTER TABLE deletion_parts DROP COLUMN slices',
];
