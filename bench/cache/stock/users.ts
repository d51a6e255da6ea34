import { Args, Context, Parent, Query, ResolveField, ResolveReference, Resolver } from '@nestjs/graphql';
import DataLoader from 'dataloader';
import { In, type DataSource } from 'typeorm';
import { globalId, parseGlobalId } from '#libs/identity';
import { UserRow } from '../../../subgraphs/users/user.entity.js';
import type { Asking } from './asking.js';

export function usersLoaders(source: DataSource) {
  return {
    users: new DataLoader<string, UserRow | null>(async (ids) => {
      const rows = await source.getRepository(UserRow).find({ where: { id: In([...ids]) } });
      const byId = new Map(rows.map((row) => [row.id, row]));
      return ids.map((id) => byId.get(id) ?? null);
    }),
  };
}

type Users = Asking<ReturnType<typeof usersLoaders>>;

@Resolver('Query')
export class UsersQueryResolver {
  @Query('userByHandle')
  userByHandle(@Args('handle') handle: string, @Context() { source }: Users): Promise<UserRow | null> {
    return source.getRepository(UserRow).findOneBy({ handle });
  }
}

@Resolver('User')
export class UsersUserResolver {
  @ResolveReference()
  reference({ id }: { id: string }, { loaders }: Users): Promise<UserRow | null> {
    return loaders.users.load(parseGlobalId('user', id));
  }

  @ResolveField('id')
  id(@Parent() { id }: UserRow): string {
    return globalId('user', id);
  }
}
