import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { CODES, type Code } from '#libs/failure';
import { REFUSALS } from '#libs/identity';
import { Breaker, PROBE } from '../../gateway/fetch/breaker.js';
import { startWorld, type World } from '../world.js';
import { RULES } from './queries.js';

const TOKEN = 'what-prometheus-says-and-nobody-else-knows';
let world: World;
let scraped: string;

beforeAll(async () => {
  world = await startWorld({ SEED: 'demo', METRICS_PORT: '0', METRICS_TOKEN: TOKEN });
  await world.ask('query($handle: String!) { userByHandle(handle: $handle) { id followerCount postCount } }', {
    handle: 'alice',
  });
  await world.ask('{ homeTimeline(first: 1) { edges { node { id } } } }');
  // Whatever is told of the five has been heard.
  await world.settle();
  scraped = await (await scrape(TOKEN)).text();
}, 180_000);
afterAll(() => world?.close());

function scrape(token?: string, path = ''): Promise<Response> {
  const url = world.gateway.metricsUrl()! + path;
  return fetch(url, { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } });
}

describe('a scrape', () => {
  it('counts requests, calls and answers, of the gateway and of each service', () => {
    expect(scraped).toMatch(/tributary_graphql_answers_total\{outcome="whole"\} [1-9]/);
    expect(scraped).toMatch(/tributary_graphql_answers_total\{outcome="partial"\} [1-9]/);
    for (const service of ['gateway', 'users', 'posts', 'followers'])
      expect(scraped).toContain(`http_server_request_duration_seconds_count{service_name="${service}"`);
    for (const service of ['users', 'posts', 'followers']) {
      expect(scraped).toMatch(
        new RegExp(`http_client_request_duration_seconds_count\\{subgraph="${service}",error_type="ok"\\} [1-9]`),
      );
      expect(scraped).toContain(`tributary_outbox_age_seconds{service="${service}"} 0`);
      expect(scraped).toContain(`tributary_inbox_duplicates_total{service="${service}"} 0`);
      for (const why of REFUSALS)
        expect(scraped).toContain(`tributary_refused_calls_total{service="${service}",why="${why}"} 0`);
      expect(scraped).toMatch(new RegExp(`tributary_unheard_seconds\\{service="${service}",source="users"\\} 0`));
      if (service !== 'users') expect(scraped).toContain(`tributary_count_drift{service="${service}"} 0`);
    }
  });

  it('counts what is asked of no operation, by its route: health, what a browser asks first, methods and addresses that there are none of', async () => {
    const { url } = world.gateway;
    const ask = async (path: string, method = 'GET'): Promise<number> => {
      const response = await fetch(new URL(path, url), { method });
      await response.text();
      return response.status;
    };
    const asked: [string, string, string, number][] = [
      ['/health/live', 'GET', '/health/live', 200],
      ['/graphql', 'OPTIONS', '/graphql', 204],
      ['/graphql', 'PUT', '/graphql', 405],
      ['/gr%61phql', 'PUT', '/graphql', 405],
      ['/nothing', 'GET', '', 404],
      ['/%zz', 'GET', '', 400],
    ];
    for (const [path, method, , status] of asked) expect([path, await ask(path, method)]).toEqual([path, status]);
    const counted = async (): Promise<string[]> => {
      const text = await (await scrape(TOKEN)).text();
      return asked.map(([, method, route, status]) => {
        const labels = `service_name="gateway",http_request_method="${method}",http_response_status_code="${status}",http_route="${route}"`;
        const line = text
          .split('\n')
          .find((one) => one.startsWith(`http_server_request_duration_seconds_count{${labels}}`));
        return `${route} ${status}: ${line?.split(' ').at(-1)}`;
      });
    };
    // An answer may be read a moment before its end is counted.
    let counts = await counted();
    for (let tries = 0; tries < 100 && counts.join().includes('undefined'); tries += 1) counts = await counted();
    expect(counts).toEqual([
      '/health/live 200: 1',
      '/graphql 204: 1',
      '/graphql 405: 2',
      '/graphql 405: 2',
      ' 404: 1',
      ' 400: 1',
    ]);
  });

  it('counts passwords that were to be hashed, and that were', async () => {
    const counts = async (): Promise<number[]> => {
      const text = await (await scrape(TOKEN)).text();
      return ['asked', 'hashed'].map((what) =>
        Number(new RegExp(`^tributary_passwords_${what}_total\\{service="users"\\} (\\d+)$`, 'm').exec(text)?.[1]),
      );
    };
    const before = await counts();
    const { errors } = await world.ask('mutation($input: LogInInput!) { logIn(input: $input) { token } }', {
      input: { handle: 'nobody_at_all', password: 'wrong horse' },
    });
    expect(errors[0]?.extensions.code).toBe('UNAUTHENTICATED');
    expect(await counts()).toEqual(before.map((count) => count + 1));
  });

  it('tells of connections, and how long it is since the list of ended log-ins came', () => {
    expect(scraped).toMatch(/^tributary_active_connections \d+$/m);
    expect(scraped).toMatch(/^tributary_rejected_connections_total 0$/m);
    const [, age] = /^tributary_ended_sessions_age_seconds (\S+)$/m.exec(scraped)!;
    expect(Number(age)).toBeLessThan(60);
  });

  it('tells of each service and the gateway that it is ready, and that there is a supergraph', () => {
    for (const service of ['gateway', 'users', 'posts', 'followers'])
      expect(scraped).toContain(`\ntributary_ready{service="${service}"} 1\n`);
    expect(scraped).toMatch(/^tributary_supergraph_served 1$/m);
    expect(scraped).toMatch(/^tributary_supergraph_missing 0$/m);
  });

  it('tells of what a service refused, by why, whatever its address and name were to be', async () => {
    const [url, counted] = [world.posts.url, /^tributary_refused_calls_total\{service="posts",why="(\w+)"\} [1-9]/gm];
    for (const assertion of [undefined, 'nonsense"} 1', `${'x'.repeat(900)}`]) {
      const headers = assertion === undefined ? {} : { 'tributary-assertion': assertion };
      const { status } = await fetch(`${url}?${randomUUID()}`, { headers });
      expect(status).toBe(401);
    }
    const text = await (await scrape(TOKEN)).text();
    expect([...text.matchAll(counted)].map(([, why]) => why)).toEqual(['unsigned']);
    expect(text.match(/^tributary_refused_calls_total\{/gm)).toHaveLength(3 * REFUSALS.length);
  });

  it('says nothing of people: no handle, no id, no query', () => {
    expect(scraped).not.toMatch(/alice|user_[0-9a-hjkmnp-tv-z]{26}|userByHandle|@/);
  });

  it('is for whoever has the token, and for no other address', async () => {
    const statuses = await Promise.all(
      [scrape(), scrape('wrong'), scrape(`${TOKEN}x`), scrape(TOKEN, '/'), scrape(TOKEN)].map(
        async (response) => (await response).status,
      ),
    );
    expect(statuses).toEqual([401, 401, 401, 404, 200]);
  });
});

describe('the alert about a service that is not asked', () => {
  it('is on at every look while the service hangs; control: that its breaker is open is true at less than half of them', () => {
    const { expr } = RULES.find(({ alert }) => alert === 'ServiceNotAsked')!;
    const [, not, state] = /state(!?)="([^"]+)"/.exec(expr)!;
    let now = 0;
    const breaker = new Breaker({ failuresMax: 1, clock: () => now, random: () => 0.5 });
    breaker.failed(breaker.begin(), true);
    // Somebody asks all the time, and each call that is let through is given up after three seconds.
    let until = 0;
    const seen: string[] = [];
    for (; now < 120_000; now += 100) {
      if (breaker.state === 'half-open' && now >= until) breaker.failed(PROBE, true);
      else if (breaker.allows && breaker.begin() === PROBE) until = now + 3_000;
      if (now % 5_000 === 0) seen.push(breaker.state);
    }
    expect(seen.filter((one) => (one === state) !== (not === '!'))).toEqual(seen);
    expect(seen.filter((one) => one === 'open').length).toBeLessThan(seen.length / 2);
  });
});

describe('whom the alert about incomplete answers wakes', () => {
  const { expr } = RULES.find(({ alert }) => alert === 'AnswersIncomplete')!;
  const [failed, all] = [...expr.matchAll(/outcome=~"([^"]+)"/g)].map(([, pattern]) => new RegExp(`^(?:${pattern})$`));
  const answers = async (which: RegExp): Promise<number> => {
    const text = await (await scrape(TOKEN)).text();
    const samples = [...text.matchAll(/^tributary_graphql_answers_total\{outcome="(\w+)"\} (\d+)$/gm)];
    return samples.reduce((sum, [, outcome, count]) => sum + (which.test(outcome!) ? Number(count) : 0), 0);
  };

  it('is what our side fails, and not what is refused; of too many requests another one tells', () => {
    for (const code of Object.keys(CODES) as Code[])
      expect([code, failed!.test(code)]).toEqual([code, CODES[code].status >= 500 && code !== 'OVERLOADED']);
    expect(['whole', 'partial', 'incomplete'].filter((outcome) => failed!.test(outcome))).toEqual(['incomplete']);
    expect(['whole', 'partial', 'incomplete', 'BAD_REQUEST'].filter((outcome) => all!.test(outcome))).toHaveLength(3);
  });

  it('is nobody while a stranger sends nonsense, and asks for what is not theirs or not there', async () => {
    const [before, carriedOut, other] = [await answers(failed!), await answers(all!), await answers(/^(?!whole$)/)];
    const node = 'query($id: ID!) { node(id: $id) { id } }';
    const nonsense = [
      await world.ask('{ nonsense }'),
      await world.ask('{'),
      await world.ask(node),
      await world.ask('{ me { id } }', {}, { authorization: 'Bearer nonsense' }),
      await world.ask('{ me { id } }', {}, { 'content-type': 'text/plain' }),
    ];
    expect(nonsense.map(({ status }) => status)).toEqual([400, 400, 400, 401, 400]);
    const cannotBeHad = [
      await world.ask(node, { id: 'nobody' }),
      await world.ask('{ homeTimeline { edges { cursor } } }'),
    ];
    expect(cannotBeHad.flatMap(({ errors }) => errors.map(({ extensions }) => extensions.code))).toEqual([
      'BAD_USER_INPUT',
      'UNAUTHENTICATED',
    ]);
    expect(await answers(failed!)).toBe(before);
    expect(await answers(all!)).toBe(carriedOut + 2);
    // (control) What is not whole is all of it.
    expect(await answers(/^(?!whole$)/)).toBe(other + 7);
  });

  it('is whoever is on call when a service is gone', async () => {
    const before = await answers(failed!);
    await world.followers.close();
    const { data, errors } = await world.ask('{ userByHandle(handle: "alice") { handle followerCount } }');
    expect([data, errors[0]?.extensions.code]).toEqual([expect.anything(), 'SUBGRAPH_UNAVAILABLE']);
    expect(await answers(failed!)).toBe(before + 1);
    expect(await answers(/^incomplete$/)).toBe(before + 1);
    // It is the service that is not ready any more, and no gateway less.
    const text = await (await scrape(TOKEN)).text();
    for (const [service, ready] of [
      ['followers', 0],
      ['users', 1],
      ['gateway', 1],
    ])
      expect(text).toContain(`\ntributary_ready{service="${service}"} ${ready}\n`);
  });
});
