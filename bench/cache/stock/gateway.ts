import 'reflect-metadata';
import { RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloGatewayDriver, type ApolloGatewayDriverConfig } from '@nestjs/apollo';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GraphQLModule } from '@nestjs/graphql';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';
import { readFileSync } from 'node:fs';

/** The gateway as NestJS' manual shows it: ApolloGatewayDriver, the viewer handed on by willSendRequest. */
const urls = JSON.parse(process.env['SUBGRAPH_URLS']!) as Record<string, string>;
let calls = 0;

class Handing extends RemoteGraphQLDataSource<{ viewer?: string }> {
  override willSendRequest({
    request,
    context,
  }: Parameters<NonNullable<RemoteGraphQLDataSource<{ viewer?: string }>['willSendRequest']>>[0]): void {
    calls += 1;
    if ('viewer' in context && context.viewer) request.http?.headers.set('x-viewer', context.viewer);
  }
}

@Module({
  imports: [
    GraphQLModule.forRoot<ApolloGatewayDriverConfig>({
      driver: ApolloGatewayDriver,
      gateway: {
        supergraphSdl: readFileSync('schema/supergraph.graphql', 'utf8'),
        buildService: ({ name }) => new Handing({ url: urls[name]! }),
      },
      server: { context: (request: FastifyRequest) => ({ viewer: request.headers['x-viewer'] }) },
    }),
  ],
})
class AppModule {}

const app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter(), { logger: false });
await app.listen(0, '127.0.0.1');
process.on('message', () => process.send!({ calls }));
process.send!({ url: `${await app.getUrl()}/graphql` });
process.once('disconnect', () => process.exit(0));
