import { Controller, Get, Inject, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';

export const READINESS = Symbol('readiness');

export interface Readiness {
  readonly ready: boolean;
  /** It has served a supergraph: whatever is missing now, another start would not bring it. */
  readonly started: boolean;
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
    const { ready, started: _, ...rest } = this.readiness();
    void reply
      .status(ready ? 200 : 503)
      .header('cache-control', 'no-store')
      .send({ status: ready ? 'ready' : 'waiting', ...rest });
  }

  /** Until it says 200 for the first time, nobody should ask the other two. What it waits for is its own: no service keeps it from it. */
  @Get('startup')
  startup(@Res() reply: FastifyReply): void {
    const { started, waitingFor } = this.readiness();
    void reply
      .status(started ? 200 : 503)
      .header('cache-control', 'no-store')
      .send(started ? { status: 'started' } : { status: 'starting', waitingFor });
  }
}
