import type { Database } from '#libs/database';
import { endAllSessions, endSession, type EndSessionsParts } from './end-sessions.js';

/** Ends the log-in that is used, or all of this person's; which one it is the gateway says. */
export class LogOut {
  constructor(private readonly parts: { database: Pick<Database, 'query' | 'transaction'> } & EndSessionsParts) {}

  /** Answers whether all of them have ended: also where a gateway does not tell which one is used, or too many have ended one by one. */
  async run(viewer: string, session: string | undefined, everywhere: boolean): Promise<boolean> {
    const { database } = this.parts;
    if (!everywhere && session !== undefined && (await endSession(database, viewer, session, this.parts))) return false;
    await database.transaction((tx) => endAllSessions(tx, viewer, this.parts));
    return true;
  }
}
