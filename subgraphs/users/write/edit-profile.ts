import type { Database } from '#libs/database';
import { badInput } from '#libs/failure';
import { foundAsAsked, recordEvent } from '#libs/outbox';
import type { Clock } from '#libs/telemetry';
import { cleanAvatarUrl, cleanBio, cleanDisplayName, takeHandle, type Person } from '../user.js';
import { UserRow } from '../user.entity.js';
import { holdHandle, lockAccount, personOf } from './account.js';
import type { Throttle } from './throttle.js';

/** What is absent stays as it is. */
export interface EditProfileInput {
  readonly handle?: string | null;
  readonly displayName?: string | null;
  readonly bio?: string | null;
  readonly avatarUrl?: string | null;
}

type Profile = Pick<UserRow, 'handle' | 'displayName' | 'bio' | 'avatarUrl'>;

/** A new handle is a rename: the old one stays this person's, shows nobody any more and can be taken by nobody else. */
export class EditProfile {
  constructor(
    private readonly parts: {
      database: Pick<Database, 'query' | 'transaction'>;
      throttle: Pick<Throttle, 'rename'>;
      clock: Clock;
    },
  ) {}

  async run(viewer: string, input: EditProfileInput): Promise<Person> {
    const wanted = profileOf(input);
    const { database, clock } = this.parts;
    if (wanted.handle !== undefined) await this.#countRename(viewer, wanted.handle);
    return database.transaction(async (tx) => {
      const row = await lockAccount(tx, viewer);
      const changed = differing(row, wanted);
      if (Object.keys(changed).length === 0) {
        await foundAsAsked(tx, `user:${viewer}`);
        return personOf(row);
      }
      if (changed.handle !== undefined) await holdHandle(tx, changed.handle, viewer);
      const edited = Object.assign(new UserRow(), row, changed, { version: row.version + 1 });
      await tx.manager.update(UserRow, { id: viewer }, { ...changed, version: edited.version });
      await recordEvent(tx, {
        type: 'profile-edited',
        aggregate: `user:${viewer}`,
        aggregateVersion: edited.version,
        actor: viewer,
        at: new Date(clock()).toISOString(),
        payload: { userId: viewer, handle: edited.handle, previousHandle: row.handle },
      });
      return personOf(edited);
    });
  }

  /** Before the transaction, which may have to run again. Who sends the handle that they have is not renamed. */
  async #countRename(viewer: string, handle: string): Promise<void> {
    const { database, throttle } = this.parts;
    const [row] = await database.query<{ handle: string }>('SELECT handle FROM users WHERE id = $1', [viewer]);
    if (row !== undefined && row.handle !== handle) await throttle.rename(viewer);
  }
}

function profileOf({ handle, displayName, bio, avatarUrl }: EditProfileInput): Partial<Profile> {
  return {
    ...(handle === undefined ? {} : { handle: takeHandle(given('handle', handle)) }),
    ...(displayName === undefined ? {} : { displayName: cleanDisplayName(given('displayName', displayName)) }),
    ...(bio === undefined ? {} : { bio: cleanBio(given('bio', bio)) }),
    ...(avatarUrl === undefined ? {} : { avatarUrl: avatarUrl === null ? null : cleanAvatarUrl(avatarUrl) }),
  };
}

function given(name: string, value: string | null): string {
  if (value === null) throw badInput(`${name} cannot be taken away; leave it out to keep it`);
  return value;
}

function differing(row: UserRow, wanted: Partial<Profile>): Partial<Profile> {
  const names = Object.keys(wanted) as (keyof Profile)[];
  return Object.fromEntries(names.filter((name) => wanted[name] !== row[name]).map((name) => [name, wanted[name]]));
}
