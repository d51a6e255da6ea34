import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

const INSTANT = { type: 'timestamptz', precision: 3 } as const;

/** One person. The row stays when the account is deleted: `deletedAt` says so. */
@Entity('users')
@Check('users_version', 'version >= 0')
export class UserRow {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'users_pkey' })
  id: string;

  /** The present one; all that this person ever had are in `handles`. */
  @Column({ type: 'text', collation: 'C' })
  handle: string;

  @Column('text', { name: 'display_name' })
  displayName: string;

  @Column('text', { default: '' })
  bio: string;

  @Column('text', { name: 'avatar_url', nullable: true })
  avatarUrl: string | null;

  /** Sealed for this row: sealing.ts. Plain where an older version wrote it, until it is sealed; empty when the account is erased. */
  @Column('text')
  email: string;

  @Column('text', { name: 'password_hash' })
  passwordHash: string;

  @Column({ ...INSTANT, name: 'joined_at' })
  joinedAt: Date;

  /** Since a deletion is under way that may still be taken back. */
  @Column({ ...INSTANT, name: 'frozen_at', nullable: true })
  frozenAt: Date | null;

  /** Since its personal data is erased. */
  @Column({ ...INSTANT, name: 'deleted_at', nullable: true })
  deletedAt: Date | null;

  /** Raised when all log-ins end; tokens of lower ones are refused. */
  @Column('integer', { default: 0 })
  sessions: number;

  /** The number of this person's events. */
  @Column('integer')
  version: number;
}

/** A log-in that ended before its token runs out, or all of a person of a lower generation. */
@Entity('ended_sessions')
@Index('ended_sessions_once', ['userId', 'session'], { unique: true })
@Check('ended_sessions_one_or_all', '(session IS NULL) <> (generation IS NULL)')
export class EndedSessionRow {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'ended_sessions_pkey' })
  id: string;

  @Column('uuid', { name: 'user_id' })
  userId: string;

  @Column('text', { nullable: true })
  session: string | null;

  @Column('integer', { nullable: true })
  generation: number | null;

  @Index('ended_sessions_at')
  @Column(INSTANT)
  at: Date;

  @Index('ended_sessions_until')
  @Column(INSTANT)
  until: Date;
}

/** Every handle that anybody has or had: once taken, nobody else can take it. */
@Entity('handles')
export class HandleRow {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'handles_pkey' })
  handle: string;

  @Column('uuid', { name: 'user_id' })
  userId: string;
}
