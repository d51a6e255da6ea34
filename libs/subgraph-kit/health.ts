import { Controller, Get, Header, Res, type Type } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Failure } from '#libs/failure';

/** What a service cannot answer without, by name; each rejects while that does not answer. */
export type Needs = Readonly<Record<string, () => Promise<unknown>>>;

/**
 * /health/live: the process answers. /health/startup: it has started (until then listen.ts answers). /health/ready: what it needs
 * answers too, within a second; if not, what it waits for and why.
 */
export function healthController(needs: Needs): Type {
  @Controller('health')
  class HealthController {
    @Get('live')
    @Header('cache-control', 'no-store')
    live(): object {
      return { status: 'live' };
    }

    @Get('startup')
    @Header('cache-control', 'no-store')
    startup(): object {
      return { status: 'started' };
    }

    @Get('ready')
    async ready(@Res() reply: FastifyReply): Promise<void> {
      const waitingFor = await missing(needs, READY_MS);
      const ready = waitingFor.length === 0;
      void reply
        .status(ready ? 200 : 503)
        .header('cache-control', 'no-store')
        .send({ status: ready ? 'ready' : 'waiting', waitingFor });
    }
  }
  return HealthController;
}

const READY_MS = 1_000;
const LATE = `no answer within ${READY_MS} ms`;

/** Does all of it answer, within less than what a figure may take? */
export async function haveAll(needs: Needs): Promise<boolean> {
  return (await missing(needs, 0.8 * READY_MS)).length === 0;
}

/** Which of them do not answer in time, and why. */
async function missing(needs: Needs, ms: number): Promise<string[]> {
  const asked = Object.entries(needs).map(([name, ask]) => whyNot(ask, ms).then((why) => why && `${name}: ${why}`));
  return (await Promise.all(asked)).filter((line) => line !== undefined);
}

/** In words that name no address: anybody may ask. */
async function whyNot(ask: () => Promise<unknown>, ms: number): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, ms, LATE);
  });
  const answered = ask().then(
    () => undefined,
    (error: unknown) => WORDS[error instanceof Failure ? error.code : ''] ?? 'it answers with an error',
  );
  return Promise.race([answered, late]).finally(() => clearTimeout(timer));
}

const WORDS: Readonly<Record<string, string>> = {
  SUBGRAPH_UNAVAILABLE: 'it cannot be reached',
  SUBGRAPH_TIMEOUT: LATE,
  OVERLOADED: 'it has too much to do',
};
