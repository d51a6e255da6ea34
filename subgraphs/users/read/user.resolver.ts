import { ResolveField, ResolveReference, Resolver } from '@nestjs/graphql';
import { globalId, parseGlobalId } from '#libs/identity';
import type { RequestContext } from '#libs/subgraph-kit';
import type { Person } from '../user.js';
import type { UserLoaders } from './user.loaders.js';

/** User, as users owns it. Fields that are not here are the properties of a `Person`. */
@Resolver('User')
export class UserResolver {
  readonly #loaders: (context: RequestContext) => UserLoaders;

  constructor(loaders: (context: RequestContext) => UserLoaders) {
    this.#loaders = loaders;
  }

  @ResolveReference()
  async reference({ id }: { id: unknown }, context: RequestContext): Promise<Person | null> {
    return this.#loaders(context).people.load(parseGlobalId('user', id));
  }

  @ResolveField()
  id({ id }: Person): string {
    return globalId('user', id);
  }

  @ResolveField()
  async email({ id }: Person, _: unknown, context: RequestContext): Promise<string | null> {
    return context.viewer === id ? this.#loaders(context).emails.load(id) : null;
  }
}
