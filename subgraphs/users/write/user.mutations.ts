import { Mutation, Resolver } from '@nestjs/graphql';
import { Failure } from '#libs/failure';
import { globalId, parseGlobalId, type TokenIssuer } from '#libs/identity';
import { requireViewer, type RequestContext, type Writable } from '#libs/subgraph-kit';
import type { Person } from '../user.js';
import type { LoggedIn } from './account.js';
import type { ChangePassword, ChangePasswordInput } from './change-password.js';
import type { DeleteAccount } from './delete-account.js';
import type { EditProfile, EditProfileInput } from './edit-profile.js';
import type { LogIn, LogInInput } from './log-in.js';
import type { LogOut } from './log-out.js';
import type { SignUp, SignUpInput } from './sign-up.js';

interface Session {
  readonly token: string;
  readonly user: Person;
}

export interface Writes {
  readonly signUp: SignUp;
  readonly logIn: LogIn;
  readonly logOut: LogOut;
  readonly changePassword: ChangePassword;
  readonly editProfile: EditProfile;
  readonly deleteAccount: DeleteAccount;
  /** Answers how many are unread then. */
  readonly markNotificationsRead: (viewer: string, upTo: string | undefined) => Promise<number>;
  /** What was done before under the client's key, instead of all checks that come before the transaction. */
  readonly again: Writable['again'];
}

/** How a deletion stands, as its owner is shown it. */
export type ReadDeletion = (id: string, owner: string) => Promise<object | null>;

/** The generation of log-ins that this person may have; frozen: none while the account is being deleted; undefined: there is no account. */
export type ReadGeneration = (userId: string) => Promise<number | 'frozen' | undefined>;

/** GraphQL arguments → what a client may do, nothing else. */
@Resolver()
export class UserMutations {
  readonly #writes: (context: RequestContext) => Writes;
  readonly #tokens: TokenIssuer;
  readonly #deletion: ReadDeletion;
  readonly #generation: ReadGeneration;

  constructor(
    writes: (context: RequestContext) => Writes,
    tokens: TokenIssuer,
    deletion: ReadDeletion,
    generation: ReadGeneration,
  ) {
    this.#generation = generation;
    this.#writes = writes;
    this.#deletion = deletion;
    this.#tokens = tokens;
  }

  @Mutation()
  async signUp(_: unknown, { input }: { input: SignUpInput }, context: RequestContext): Promise<Session> {
    const { signUp, again } = this.#writes(context);
    return this.#session(
      await this.#stillGood(context, await again(() => signUp.run(input, context.client, context.deadline))),
    );
  }

  @Mutation()
  async logIn(_: unknown, { input }: { input: LogInInput }, context: RequestContext): Promise<Session> {
    return this.#session(await this.#writes(context).logIn.run(input, context.client, context.deadline));
  }

  @Mutation()
  async logOut(_: unknown, { everywhere }: { everywhere: boolean | null }, context: RequestContext) {
    const { session } = context;
    return { everywhere: await this.#writes(context).logOut.run(requireViewer(context), session, everywhere ?? false) };
  }

  @Mutation()
  async changePassword(
    _: unknown,
    { input }: { input: ChangePasswordInput },
    context: RequestContext,
  ): Promise<Session> {
    const viewer = requireViewer(context);
    const { changePassword, again } = this.#writes(context);
    return this.#session(
      await this.#stillGood(context, await again(() => changePassword.run(viewer, input, context.deadline))),
    );
  }

  @Mutation()
  async editProfile(_: unknown, { input }: { input: EditProfileInput }, context: RequestContext): Promise<Person> {
    const viewer = requireViewer(context);
    const { editProfile, again } = this.#writes(context);
    return again(() => editProfile.run(viewer, input));
  }

  @Mutation()
  async deleteAccount(_: unknown, { input }: { input: { password: string } }, context: RequestContext) {
    const viewer = requireViewer(context);
    const { deleteAccount, again } = this.#writes(context);
    const id = await again(() => deleteAccount.run(viewer, input, context.deadline));
    const deletion = await this.#deletion(id, viewer);
    return deletion && { ...deletion, id: globalId('deletion', id) };
  }

  @Mutation()
  async markNotificationsRead(_: unknown, { upTo }: { upTo?: string | null }, context: RequestContext) {
    const viewer = requireViewer(context);
    const id = upTo === undefined || upTo === null ? undefined : parseGlobalId('notification', upTo);
    return { unreadNotificationCount: await this.#writes(context).markNotificationsRead(viewer, id) };
  }

  /** What came with a key may have been done long ago: no token for log-ins that have ended since, nor for an account that is gone. */
  async #stillGood(context: RequestContext, done: LoggedIn): Promise<LoggedIn> {
    if (context.once === undefined) return done;
    const generation = await this.#generation(done.person.id);
    if (generation === done.sessions) return done;
    if (generation === 'frozen') throw new Failure('ACCOUNT_FROZEN');
    throw new Failure('UNAUTHENTICATED', 'It was done, and this log-in has ended since; log in.');
  }

  async #session({ person, sessions }: LoggedIn): Promise<Session> {
    return { token: await this.#tokens.issue(person.id, sessions), user: person };
  }
}
