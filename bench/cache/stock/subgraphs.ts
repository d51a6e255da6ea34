import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { ApolloFederationDriver, type ApolloFederationDriverConfig } from '@nestjs/apollo';
import { Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GraphQLISODateTime, GraphQLModule } from '@nestjs/graphql';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';
import { DataSource, type EntitySchema } from 'typeorm';
import { followersLoaders, FollowersUserResolver } from './followers.js';
import { PostResolver, postsLoaders, PostsQueryResolver, PostsUserResolver } from './posts.js';
import { UsersQueryResolver, UsersUserResolver, usersLoaders } from './users.js';
import { Follow, Person as FollowersPerson } from '../../../subgraphs/followers/relation.entity.js';
import { FollowEdgeEntity, PersonEntity as PostsPerson } from '../../../subgraphs/posts/person.entity.js';
import { LikeEntity, PostEntity } from '../../../subgraphs/posts/post.entity.js';
import { UserRow } from '../../../subgraphs/users/user.entity.js';

/**
 * The subgraphs as NestJS' manual shows them: ApolloFederationDriver, resolvers by decorators, TypeORM repositories, a DataLoader for
 * each kind of row, made for each request. Three apps in one process, as ours are in the bench, on the same tables. They believe
 * whoever the gateway says is asking, and look at no blocks: that is less work than ours have.
 */
interface Service {
  readonly name: string;
  readonly entities: (Function | EntitySchema)[];
  readonly resolvers: Type[];
  readonly loaders: (source: DataSource) => object;
}

const SERVICES: readonly Service[] = [
  {
    name: 'users',
    entities: [UserRow],
    resolvers: [UsersQueryResolver, UsersUserResolver],
    loaders: usersLoaders,
  },
  {
    name: 'posts',
    entities: [PostEntity, LikeEntity, PostsPerson, FollowEdgeEntity],
    resolvers: [PostsQueryResolver, PostsUserResolver, PostResolver],
    loaders: postsLoaders,
  },
  {
    name: 'followers',
    entities: [Follow, FollowersPerson],
    resolvers: [FollowersUserResolver],
    loaders: followersLoaders,
  },
];

const urls: Record<string, string> = {};
for (const service of SERVICES) urls[service.name] = await start(service);
process.send?.({ urls });
process.once('disconnect', () => process.exit(0));

async function start({ name, entities, resolvers, loaders }: Service): Promise<string> {
  const source = new DataSource({
    type: 'postgres',
    url: process.env[`${name.toUpperCase()}_DATABASE_URL`]!,
    entities,
    poolSize: 10,
  });
  await source.initialize();

  @Module({
    imports: [
      GraphQLModule.forRoot<ApolloFederationDriverConfig>({
        driver: ApolloFederationDriver,
        typeDefs: readFileSync(`subgraphs/${name}/schema.graphql`, 'utf8'),
        resolvers: { DateTime: GraphQLISODateTime },
        context: (request: FastifyRequest) => ({
          viewer: request.headers['x-viewer'] ?? null,
          source,
          loaders: loaders(source),
        }),
      }),
    ],
    providers: resolvers,
  })
  class AppModule {}

  const app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter(), { logger: false });
  await app.listen(0, '127.0.0.1');
  return `${await app.getUrl()}/graphql`;
}
