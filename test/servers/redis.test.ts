import { expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { withServer } from './needs.js';
import { startRedis, startRedisCluster, tell } from './redis.js';

const answers = (port: number): Promise<boolean> => tell(port, 'PING').then(() => true, () => false); // prettier-ignore

withServer('redis', 'a Redis of the tests', () => {
  it('answers until it is stopped, and then its port is free', async () => {
    const redis = await startRedis();
    expect(await tell(redis.port, 'PING')).toBe('+PONG\r\n');
    await redis.stop();
    expect(await answers(redis.port)).toBe(false);
    const probe = createServer().listen(redis.port, '127.0.0.1');
    await once(probe, 'listening');
    probe.close();
  });

  it('is stopped even while it is paused', async () => {
    const redis = await startRedis();
    process.kill(redis.pid, 'SIGSTOP');
    await redis.stop();
    expect(() => process.kill(redis.pid, 0)).toThrow('ESRCH');
  });

  it('is a cluster of three that knows every slot', async () => {
    const cluster = await startRedisCluster(3);
    const info = await tell(cluster.nodes[2]!.port, 'CLUSTER INFO');
    expect(info).toContain('cluster_slots_ok:16384');
    expect(info).toContain('cluster_size:3');
    await cluster.stop();
  });

  it('does not outlive a process that is killed', async () => {
    const sleeper = `
      import { spawn } from 'node:child_process';
      const shell = spawn('sh', ['-c', process.argv[1], '/nowhere', 'sleep', '600'], { stdio: ['pipe', 'inherit', 'ignore'], detached: true });
      setInterval(() => shell.pid, 1000);`;
    const { WATCH } = await import('./redis.js');
    const starter = spawn(process.execPath, ['--input-type=module', '-e', sleeper, WATCH], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(starter.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    expect(process.kill(pid, 0)).toBe(true);
    starter.kill('SIGKILL');
    await expect(gone(pid)).resolves.toBe(true);
  });
});

async function gone(pid: number): Promise<boolean> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return true;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
