import { Catch, HttpException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import type { FastifyReply } from 'fastify';
import { asFailure, Failure, type Code } from '#libs/failure';
import { refuse } from './door.js';

/** HTTP errors (no such route, a body that is no JSON or too large) in the shape that every other error has. */
@Catch()
class HttpErrorFilter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    // Nest asks global filters about resolvers too; those errors are formatted with the operation's answer.
    if (host.getType() !== 'http') throw error;
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const failure = failureOf(error);
    void refuse(reply, failure);
  }
}
export const HttpErrors = { provide: APP_FILTER, useClass: HttpErrorFilter };

function failureOf(error: unknown): Failure {
  const status = error instanceof HttpException ? error.getStatus() : statusOf(error);
  if (status === 503) return new Failure('OVERLOADED', undefined, { cause: error });
  const code = CODE_OF[status];
  return code === undefined ? asFailure(error) : new Failure(code, undefined, { cause: error });
}

const CODE_OF: Readonly<Record<number, Code>> = {
  400: 'BAD_REQUEST',
  404: 'NOT_FOUND',
  413: 'BAD_REQUEST',
  415: 'BAD_REQUEST',
};

function statusOf(error: unknown): number {
  return typeof error === 'object' && error !== null && 'statusCode' in error ? Number(error.statusCode) : 500;
}
