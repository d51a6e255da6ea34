import { Controller, Get, Inject, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';

export const READINESS = Symbol('readiness');

export interface Readiness {
  readonly ready: boolean;
  /** What it waits for, in words that name no address. */
  readonly waitingFor: readonly string[];
  readonly [more: string]: unknown;
}

@Controller('health')
export class HealthController {
  constructor(@Inject(READINESS) private readonly readiness: () => Readiness) {}

  /** The process runs; it depends on nothing else, or a database's trouble would restart every gateway. */
  @Get('live')
  live(@Res() reply: FastifyReply): void {
    void reply.header('cache-control', 'no-store').send({ status: 'live' });
  }

  @Get('ready')
  ready(@Res() reply: FastifyReply): void {
    const { ready, ...rest } = this.readiness();
    void reply
      .status(ready ? 200 : 503)
      .header('cache-control', 'no-store')
      .send({ status: ready ? 'ready' : 'waiting', ...rest });
  }
}
