import { afterEach, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../../commands/root.js';
import { readCompose, variablesOf } from '../deploy/compose-file.js';
import { secretsFor } from '../deploy/secrets.js';
import { freePort } from '../servers/free-port.js';
import { withServer } from '../servers/needs.js';
import { canMount } from '../servers/small-disk.js';
import { PROGRAMS } from './alert-stories.js';
import { startNameServer } from './name-server.js';
import { LOOKED_UP } from './prometheus-here.js';
import { startPrometheus } from './prometheus.js';
import { RULES, RULES_FILE } from './queries.js';

const config = readFileSync(join(ROOT, 'deploy/prometheus.yml'), 'utf8');
const looked = [...config.matchAll(LOOKED_UP)].map(([, names = '', port = '']) => ({ names: names.split(', '), port }));

it('everybody of docker-compose.yml who tells figures is asked, by the name and the port that it has there, and missed when it is gone', () => {
  const text = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
  const { services } = readCompose(text, secretsFor(variablesOf(text)));
  const tell = Object.entries(services).flatMap(([name, { environment }]) =>
    environment['METRICS_PORT'] === undefined ? [] : [`${name}:${environment['METRICS_PORT']}`],
  );
  const [, port] = /\nfrontend watched\n {2}bind :(\d+)\n/.exec(
    readFileSync(join(ROOT, 'deploy/haproxy.cfg'), 'utf8'),
  )!;
  const asked = looked.flatMap(({ names, port: at }) => names.map((name) => `${name}:${at}`));
  expect(asked.toSorted()).toEqual([...tell, `door:${port}`].toSorted());
  const { expr } = RULES.find(({ alert }) => alert === 'ProgramGone')!;
  const missed = [...expr.matchAll(/absent\(up\{program="(.*?)"\}\)/g)].map(([, name = '']) => name);
  expect(missed.toSorted()).toEqual(asked.map((one) => one.replace(/:.*/, '')).toSorted());
  expect(missed).toEqual(PROGRAMS);
  // Who answers at its address has to be it.
  const { expr: down } = RULES.find(({ alert }) => alert === 'ProgramDown')!;
  const themselves = [
    ...down.matchAll(/up\{program=~?"(.*?)"\} == 1 and on \(instance\) tributary_ready\{service="(.*?)"\}/g),
  ];
  expect(themselves.map(([, program, service]) => [program, service])).toEqual([
    ['gateway-.*', 'gateway'],
    ...PROGRAMS.filter((name) => !/^gateway|^door/.test(name)).map((name) => [name, name]),
  ]);
});

withServer('prometheus', 'a service of several processes', (binary = '') => {
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  // Prometheus asks whom /etc/resolv.conf names, at port 53.
  (canMount() ? it : it.skip)(
    'is watched whole, as many as there are, and missed when the last is gone, whatever is said of its name and whoever has its address; control: by one address of the name one of them is',
    async () => {
      const NAMES = '127.53.0.1';
      const names = await startNameServer(NAMES);
      closing.push(() => names.close());
      const port = await freePort();
      const programs = new Map<string, Server>();
      for (const address of ['127.53.0.2', '127.53.0.3']) {
        const program = await tells(address, port, 'posts');
        programs.set(address, program);
        closing.push(() => program.close());
      }
      const quick = config
        .replaceAll('interval: 15s', 'interval: 1s')
        .replaceAll('port: 9464', `port: ${port}`)
        .replace('/etc/prometheus/alerts.yml', RULES_FILE);
      const control = `  - job_name: control\n    static_configs: [{ targets: ['posts:${port}'] }]\n`;
      const prometheus = await startPrometheus(binary, `${quick.trimEnd()}\n${control}`, `nameserver ${NAMES}\n`);
      closing.push(() => prometheus.stop());

      const seen = async (query: string): Promise<string[]> =>
        (await prometheus.query(query)).data.result
          .map(({ metric }) => metric['instance'] ?? metric['program'] ?? '')
          .toSorted();
      const until = async (query: string, expected: string[]): Promise<void> => {
        for (const end = Date.now() + 60_000; Date.now() < end; await sleep(200))
          if (JSON.stringify(await seen(query)) === JSON.stringify(expected)) return;
        expect([query, await seen(query)]).toEqual([query, expected]);
      };
      const posts = 'up{program="posts"} == 1';
      const [one, two] = [`posts 127.53.0.2:${port}`, `posts 127.53.0.3:${port}`];
      names.addresses.set('posts', ['127.53.0.2']);
      await until(posts, [one]);
      names.addresses.set('posts', ['127.53.0.2', '127.53.0.3']);
      await until(posts, [one, two]);
      expect(await seen('up{job="control"}')).toEqual([`posts:${port}`]);
      names.addresses.set('posts', ['127.53.0.3']);
      await until(posts, [two]);
      await until('ALERTS{alertname="ProgramGone",program="posts"}', []);
      names.addresses.delete('posts');
      await until('ALERTS{alertname="ProgramGone",program="posts"}', ['posts']);
      // Which the rule of those that do not answer never would be.
      expect(await seen('ALERTS{alertname="ProgramDown",program="posts"}')).toEqual([]);

      // By Docker's on an internal network it is not said to be gone: it is asked on, and does not answer.
      names.addresses.set('posts', ['127.53.0.3']);
      await until(posts, [two]);
      await until('ALERTS{alertname="ProgramGone",program="posts"}', []);
      names.others = 'failed';
      names.addresses.delete('posts');
      programs.get('127.53.0.3')!.close();
      programs.get('127.53.0.3')!.closeAllConnections();
      const down = 'ALERTS{alertname="ProgramDown",program="posts"}';
      await until(down, [two]);
      expect(await seen('ALERTS{alertname="ProgramGone",program="posts"}')).toEqual([]);

      // The address is given to users: somebody answers there, and it is not posts.
      const other = await tells('127.53.0.3', port, 'users');
      closing.push(() => other.close());
      names.addresses.set('users', ['127.53.0.3']);
      await until(posts, [two]);
      await until('up{program="users"} == 1', [`users 127.53.0.3:${port}`]);
      // Each second it is looked at.
      for (let looks = 0; looks < 5; looks += 1, await sleep(1_000)) expect(await seen(down)).toEqual([two]);
      expect(await seen('ALERTS{alertname="ProgramDown",program="users"}')).toEqual([]);
      // (control) Whether something answers is all that the rule of before went by.
      expect(await seen('up{program="posts"} == 0')).toEqual([]);
    },
    180_000,
  );
});

/** A program with two figures. */
async function tells(address: string, port: number, service: string): Promise<Server> {
  const figures = `process_start_time_seconds 1\ntributary_ready{service="${service}"} 1\n`;
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/plain; version=0.0.4').end(figures);
  }).listen(port, address);
  await once(server, 'listening');
  return server;
}
