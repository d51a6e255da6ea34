import { readFileSync } from 'node:fs';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
} from '@apollo/server/plugin/disabled';
import { ApolloFederationDriver, type ApolloFederationDriverConfig } from '@nestjs/apollo';
import { Module, type DynamicModule, type ModuleMetadata, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { GraphQLModule } from '@nestjs/graphql';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { AssertionVerifier } from '#libs/identity';
import { steadyClock, type Clock, type Logger } from '#libs/telemetry';
import { CopiesInSchema, type Copies } from './copies.js';
import { DateTime } from './date-time.js';
import { DOCUMENTS } from './documents.js';
import { Door } from './door.js';
import { guardEntities } from './entities.js';
import { formatError, logMasked, tellExhausted, tellRefused } from './errors.js';
import { healthController, type Needs } from './health.js';
import { HttpErrors } from './http-errors.js';
import { oncePerKey } from './once-per-key.js';
import { readYourWrites, type ReadYourWrites } from './read-your-writes.js';

export interface SubgraphOptions {
  /** Its name in the supergraph; the audience of its assertions. */
  readonly name: string;
  /** schema.graphql: the contract, schema first. */
  readonly schemaPath: URL | string;
  readonly assertions: AssertionVerifier;
  readonly logger: Logger;
  /** By which the deadlines of requests are kept. */
  readonly clock?: Clock;
  readonly providers: NonNullable<ModuleMetadata['providers']>;
  readonly controllers?: NonNullable<ModuleMetadata['controllers']>;
  /** Paths that answer everybody, besides those of health. */
  readonly open?: readonly string[];
  /** How readers are shown what they have written; absent: they are not waited for. */
  readonly consistency?: Omit<ReadYourWrites, 'service' | 'copies'> | undefined;
  /** Of what others own, what answers from a copy here; absent: every field may. */
  readonly copies?: Copies | undefined;
  /** What it cannot answer without: its database. */
  readonly needs?: Needs;
}

/**
 * A Nest module that serves one schema-first subgraph at /graphql, to its gateway only. Each call makes a class of its own, so several
 * subgraphs live in one process. Resolvers whose methods take (parent, args, context) without parameter decorators are called
 * directly; each decorated one goes through Nest's context creator, for every field of every row.
 */
export function subgraphModule(options: SubgraphOptions): DynamicModule {
  const { assertions, clock = steadyClock } = options;
  const open = ['/health/live', '/health/startup', '/health/ready', ...(options.open ?? [])];
  const door = new Door(assertions, open, clock, options.logger);
  @Module({})
  class SubgraphModule implements OnModuleInit {
    constructor(private readonly host: HttpAdapterHost) {}

    onModuleInit(): void {
      const fastify: FastifyInstance = this.host.httpAdapter.getInstance();
      door.guard(fastify);
    }
  }
  return {
    module: SubgraphModule,
    imports: [
      GraphQLModule.forRootAsync<ApolloFederationDriverConfig>({
        driver: ApolloFederationDriver,
        inject: [{ token: DOCUMENTS, optional: true }],
        useFactory: (documentStore?: NonNullable<ApolloFederationDriverConfig['documentStore']>) => ({
          ...graphqlOptions(options, door),
          ...(documentStore === undefined ? {} : { documentStore }),
        }),
      }),
    ],
    controllers: [healthController(options.needs ?? {}), ...(options.controllers ?? [])],
    providers: [HttpErrors, ...options.providers],
  };
}

function graphqlOptions(
  { name, schemaPath, logger, assertions, consistency, ...options }: SubgraphOptions,
  door: Door,
): ApolloFederationDriverConfig {
  const copies = options.copies && new CopiesInSchema(options.copies);
  const typeDefs = readFileSync(schemaPath, 'utf8');
  return {
    path: '/graphql',
    // Not typePaths: those are glob patterns, and a folder may be called anything.
    typeDefs,
    ...(/\bscalar DateTime\b/.test(typeDefs) ? { resolvers: { DateTime } } : {}),
    transformSchema: (schema) => oncePerKey(guardEntities(copies ? copies.guard(schema) : schema)),
    context: (request: FastifyRequest) => door.contextOf(request),
    formatError,
    plugins: [
      logMasked(logger),
      tellRefused(assertions.refused),
      tellExhausted(),
      ...(consistency === undefined ? [] : [readYourWrites({ ...consistency, service: name, copies })]),
      ApolloServerPluginInlineTraceDisabled(),
      ApolloServerPluginCacheControlDisabled(),
    ],
    autoTransformHttpErrors: false,
    preserveHttpStatusForExecutionErrors: false,
    includeStacktraceInErrorResponses: false,
    graphiql: false,
    // A browser cannot send the assertion, so there is nothing that a foreign page could make it do.
    csrfPrevention: false,
    introspection: false,
    persistedQueries: false,
    allowBatchedHttpRequests: false,
    stopOnTerminationSignals: false,
    logger: apolloLogger(logger),
  };
}

function apolloLogger(logger: Logger) {
  const to = (level: keyof Logger) => (message: unknown) => logger[level]({}, String(message));
  return { debug: to('debug'), info: to('debug'), warn: to('warn'), error: to('error') };
}
