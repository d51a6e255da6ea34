import { Controller, Get, ServiceUnavailableException, type Type } from '@nestjs/common';

/** /health/live: the process answers. /health/ready: what it needs answers too, within a second. */
export function healthController(ready: () => Promise<unknown>): Type {
  @Controller('health')
  class HealthController {
    @Get('live')
    live(): object {
      return { status: 'live' };
    }

    @Get('ready')
    async ready(): Promise<object> {
      await within(READY_MS, ready()).catch((cause: unknown) => {
        throw new ServiceUnavailableException('not ready', { cause });
      });
      return { status: 'ready' };
    }
  }
  return HealthController;
}

const READY_MS = 1_000;

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
