import { describe, expect, it } from '@jest/globals';
import { address, addresses, choice, names, port, readSettings, secret, SettingsError, whole } from './index.js';

const settings = {
  PORT: port({ default: 4000, why: 'where it listens' }),
  WAIT_MS: whole({ min: 1, max: 100, unit: 'ms', default: 10, why: 'how long' }),
  MODE: choice(['on', 'off'], { default: 'on', why: 'whether' }),
  REDIS_URL: address({ protocols: ['redis:', 'rediss:'], why: 'which' }),
  KEY: secret({ why: 'signs' }),
  HEADERS: names({ default: [], why: 'which' }),
};

describe('settings', () => {
  it('gives the defaults for what is absent or empty, frozen', () => {
    const values = readSettings(settings, { PORT: '' });
    expect(values).toEqual({ PORT: 4000, WAIT_MS: 10, MODE: 'on', REDIS_URL: undefined, KEY: undefined, HEADERS: [] });
    expect(Object.isFrozen(values)).toBe(true);
  });

  it('reads what is given', () => {
    const values = readSettings(settings, {
      PORT: '0',
      MODE: 'off',
      REDIS_URL: 'redis://h:1',
      KEY: 'k'.repeat(32),
      HEADERS: 'a, b,',
    });
    expect(values).toMatchObject({ PORT: 0, MODE: 'off', REDIS_URL: 'redis://h:1', HEADERS: ['a', 'b'] });
  });

  it('reports every mistake at once, with the variable, what it takes and what came, but never a secret', () => {
    const wrong = () =>
      readSettings(settings, { PORT: '65536', WAIT_MS: '0', MODE: 'maybe', REDIS_URL: 'http://h', KEY: 'hunter2' });
    expect(wrong).toThrow(SettingsError);
    expect(wrong).toThrow(
      [
        '  PORT takes a port, 0 to 65535 (0: any free one); came "65536"',
        '  WAIT_MS takes a whole number, 1 to 100 ms; came "0"',
        '  MODE takes one of on, off; came "maybe"',
        '  REDIS_URL takes an address that begins with redis: or rediss:; came "http://h"',
        '  KEY takes at least 32 characters that nobody can guess (openssl rand -hex 32); came something else (not shown)',
      ].join('\n'),
    );
  });

  it('says of a port that is an address where it came from: Kubernetes tells of each service so', () => {
    const ports = { PORT: port({ why: 'where' }), METRICS_PORT: port({ why: 'where' }) };
    const read = (env: Record<string, string>) => () => readSettings(ports, env);
    expect(read({ METRICS_PORT: 'tcp://10.0.0.1:9090' })).toThrow(
      'METRICS_PORT takes a port, 0 to 65535 (0: any free one); came "tcp://10.0.0.1:9090", as Kubernetes sets it for a service called metrics: say enableServiceLinks: false in the pod, or set METRICS_PORT there, or call that service otherwise',
    );
    expect(read({ PORT: 'tcp://10.0.0.1:80' })).toThrow(/for a service: say .* in the pod, or set PORT there$/);
    expect(read({ METRICS_PORT: '9090x' })).toThrow(/came "9090x"$/);
  });

  it.each([
    ['postgre://admin:hunter2@db:5432/x', 'postgre://***@db:5432/x'],
    ['admin:hunter2@db', '***@db'],
    ['http://:hunter2@db', 'http://***@db'],
    ['//admin:hunter2@db/x', '***@db/x'],
    ['http:/hunter2@db', 'http:/***@db'],
    ['postgres://admin:hun#ter2/hunter2@x:y@db:port/x', 'postgres://***@db:port/x'],
    ['http://admin:?hunter2@db/x', 'http://***@db/x'],
    ['http://db/x?user=admin&password=hunter2', 'http://db/x?***'],
    ['http://admin:h\nunter2\nhunter2@db', 'http://***@db'],
  ])('an address that is wrong is shown without its password: %j', (text, shown) => {
    const wrong = () => readSettings(settings, { REDIS_URL: text });
    expect(wrong).toThrow(
      `REDIS_URL takes an address that begins with redis: or rediss:; came ${JSON.stringify(shown)}`,
    );
    expect(wrong).not.toThrow('unter2');
  });

  it('takes several addresses, each once, and shows no password of a wrong one', () => {
    const several = { REPLICAS: addresses({ protocols: ['postgres:'], default: [], why: 'which' }) };
    const read = (REPLICAS: string) => readSettings(several, { REPLICAS }).REPLICAS;
    expect(read('')).toEqual([]);
    expect(read('postgres://u:p@a:1/x, postgres://u:p@b:1/x')).toEqual([
      'postgres://u:p@a:1/x',
      'postgres://u:p@b:1/x',
    ]);
    for (const wrong of ['postgres://u:hunter2@a/x,', 'postgres://u:hunter2@a/x,http://b', 'nothing'])
      expect(() => read(wrong)).toThrow('addresses that begin with postgres:, separated by commas, each once');
    expect(() => read('postgres://u:hunter2@a/x,http://b')).not.toThrow('hunter2');
    expect(() => read('postgres://u:p@a/x,postgres://v:q@a/x')).toThrow('each once');
  });

  it('reports what needs several settings beside what is wrong alone, but says nothing twice of one', () => {
    const missing = () => ['KEY is needed with REDIS_URL', 'MODE=on takes another PORT'];
    const mistakes = (env: Record<string, string>) => {
      try {
        readSettings(settings, env, missing);
      } catch (error) {
        return (error as SettingsError).mistakes.map((mistake) => /^\S+/.exec(mistake)![0]);
      }
      return [];
    };
    expect(mistakes({})).toEqual(['KEY', 'MODE=on']);
    expect(mistakes({ PORT: 'x' })).toEqual(['PORT', 'KEY', 'MODE=on']);
    expect(mistakes({ KEY: 'hunter2', MODE: 'maybe' })).toEqual(['MODE', 'KEY']);
  });
});
