import { Module, type DynamicModule } from '@nestjs/common';
import { GRAPHQL_PARTS, GraphqlController, PLAYGROUND } from './http/graphql.controller.js';
import { HealthController, READINESS, type Readiness } from './http/health.controller.js';
import type { GraphqlOverHttpParts } from './http/graphql-over-http-parts.js';
import type { Playground } from './http/playground.js';

@Module({})
export class GatewayModule {
  /** In the order of a request's walk; what comes after HTTP is built by start.ts and reached through `graphql.served`. */
  static of(parts: {
    graphql: GraphqlOverHttpParts;
    playground: Playground | undefined;
    readiness: () => Readiness;
  }): DynamicModule {
    return {
      module: GatewayModule,
      controllers: [GraphqlController, HealthController],
      providers: [
        { provide: GRAPHQL_PARTS, useValue: parts.graphql },
        { provide: PLAYGROUND, useValue: parts.playground },
        { provide: READINESS, useValue: parts.readiness },
      ],
    };
  }
}
