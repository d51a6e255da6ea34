import { All, Controller, Get, Inject, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { GraphqlOverHttpParts } from './graphql-over-http-parts.js';
import { answerGraphql } from './graphql-over-http.js';
import { answerProblem } from './problem.js';
import { Playground } from './playground.js';

export const GRAPHQL_PARTS = Symbol('graphql over http');
export const PLAYGROUND = Symbol('playground');

/**
 * Where Nest ends: the raw request and response go to plain functions, so the rules of HTTP are tested without it, and nothing
 * between reads a body, picks a status or writes HTML.
 */
@Controller()
export class GraphqlController {
  constructor(
    @Inject(GRAPHQL_PARTS) private readonly parts: GraphqlOverHttpParts,
    @Inject(PLAYGROUND) private readonly playground: Playground | undefined,
  ) {}

  @All('graphql')
  graphql(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    reply.hijack();
    return answerGraphql(request.raw, reply.raw, this.parts);
  }

  @Get('playground/:file')
  file(@Req() request: FastifyRequest<{ Params: { file: string } }>, @Res() reply: FastifyReply): void {
    reply.hijack();
    const found = this.playground?.file(request.params.file, request.raw, reply.raw) ?? false;
    if (!found)
      answerProblem(reply.raw, 404, 'There is nothing at this address; GraphQL is at /graphql.', this.parts.newId());
  }
}
