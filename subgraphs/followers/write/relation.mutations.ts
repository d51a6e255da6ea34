import { Mutation, Resolver } from '@nestjs/graphql';
import { parseGlobalId } from '#libs/identity';
import { requireViewer, type RequestContext } from '#libs/subgraph-kit';
import type { Verb } from '../relation.js';
import type { ChangeRelation } from './change-relation.js';

/** Each answers the person; what is asked of them is read after the commit. */
@Resolver()
export class RelationMutations {
  readonly #change: (context: RequestContext) => ChangeRelation;
  readonly #written: (context: RequestContext) => void;

  /** `written`: what this request has read so far is old now. */
  constructor(change: (context: RequestContext) => ChangeRelation, written: (context: RequestContext) => void) {
    this.#change = change;
    this.#written = written;
  }

  @Mutation()
  follow(_: unknown, { userId }: Target, context: RequestContext): Promise<UserStub> {
    return this.#run('follow', userId, context);
  }

  @Mutation()
  unfollow(_: unknown, { userId }: Target, context: RequestContext): Promise<UserStub> {
    return this.#run('unfollow', userId, context);
  }

  @Mutation()
  block(_: unknown, { userId }: Target, context: RequestContext): Promise<UserStub> {
    return this.#run('block', userId, context);
  }

  @Mutation()
  unblock(_: unknown, { userId }: Target, context: RequestContext): Promise<UserStub> {
    return this.#run('unblock', userId, context);
  }

  async #run(verb: Verb, shownId: string, context: RequestContext): Promise<UserStub> {
    const viewer = requireViewer(context);
    const userId = parseGlobalId('user', shownId);
    await this.#change(context).run(verb, viewer, userId);
    this.#written(context);
    return { userId };
  }
}

interface Target {
  readonly userId: string;
}

interface UserStub {
  readonly userId: string;
}
