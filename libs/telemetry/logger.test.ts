import { pino } from 'pino';
import { describe, expect, it } from '@jest/globals';
import { createLogger } from './index.js';
import { LogLines } from './log-lines.js';

const errno = (code: string) => Object.assign(new Error(code), { code });

/** A disk with so much space: it takes what has room, as a real one does, and then nothing. */
function disk(space: number) {
  const kept: Uint8Array[] = [];
  const write = (bytes: Uint8Array): number => {
    if (space === 0) throw errno('ENOSPC');
    const part = bytes.slice(0, space);
    space -= part.length;
    kept.push(part);
    return part.length;
  };
  return {
    write,
    clean: (bytes: number) => void (space = bytes),
    lines: () => Buffer.concat(kept).toString().trimEnd().split('\n'),
  };
}

describe('a log', () => {
  it('is there with a LOG_LEVEL that no log has, so that the settings can say so; control: pino throws', () => {
    const before = process.env['LOG_LEVEL'];
    const lines: string[] = [];
    process.env['LOG_LEVEL'] = 'verbose';
    try {
      const logger = createLogger('users', undefined, { write: (line) => lines.push(line) });
      logger.debug({}, 'one');
      logger.info({}, 'two');
      expect(lines.map((line) => JSON.parse(line) as object)).toEqual([expect.objectContaining({ msg: 'two' })]);
      expect(() => pino({ level: 'verbose' })).toThrow('must be included');
    } finally {
      if (before === undefined) delete process.env['LOG_LEVEL'];
      else process.env['LOG_LEVEL'] = before;
    }
  });

  it('on a full disk loses lines and says so when there is space again', () => {
    const full = disk(100);
    const logger = createLogger('users', 'info', new LogLines('users', full.write));
    for (const name of ['one', 'two', 'three']) logger.error({}, name);
    full.clean(10_000);
    logger.info({}, 'four');
    logger.info({}, 'five');
    const [one, torn, ...rest] = full.lines();
    expect(JSON.parse(one!)).toMatchObject({ msg: 'one' });
    // Of the line that there was not enough space for, its beginning.
    expect(() => JSON.parse(torn!) as unknown).toThrow();
    expect(rest.map((line) => JSON.parse(line) as object)).toEqual([
      expect.objectContaining({ name: 'users', lost: 2 }),
      expect.objectContaining({ msg: 'four' }),
      expect.objectContaining({ msg: 'five' }),
    ]);
  });

  it('waits a moment for a reader who is behind, once, and then goes on without', () => {
    let asked = 0;
    const lines = new LogLines('users', () => {
      asked += 1;
      throw errno('EAGAIN');
    });
    lines.write('one\n');
    expect(asked).toBe(11);
    lines.write('two\n');
    lines.write('three\n');
    expect(asked).toBe(13);
  });
});

/** As TypeORM throws it: PostgreSQL's own properties, and the statement's. */
const failedInsert = () =>
  Object.assign(new Error('null value in column "bio" of relation "users" violates not-null constraint'), {
    name: 'QueryFailedError',
    code: '23502',
    severity: 'ERROR',
    detail: 'Failing row contains (1, canary@example.org).',
    parameters: ['canary@example.org', '$argon2id$canary'],
  });

describe('an error in the log', () => {
  const logged = (err: unknown): { err: Record<string, unknown>; text: string } => {
    let text = '';
    createLogger('users', 'info', { write: (line) => void (text += line) }).error({ err }, 'it failed');
    return { ...(JSON.parse(text) as { err: Record<string, unknown> }), text };
  };

  it('is its type, message, stack and code, also as what brought about another', () => {
    const { err, text } = logged(new TypeError('no', { cause: failedInsert() }));
    expect(err).toEqual({
      type: 'TypeError',
      message: 'no',
      stack: expect.stringContaining('logger.test'),
      cause: {
        type: 'Error',
        message: 'null value in column "bio" of relation "users" violates not-null constraint',
        stack: expect.any(String),
        code: '23502',
      },
    });
    expect(text).not.toMatch(/canary/);
  });

  it('says everything that it has when pino writes it (control)', () => {
    let text = '';
    pino({}, { write: (line: string) => void (text += line) }).error({ err: failedInsert() }, 'it failed');
    expect(text).toMatch(/canary@example\.org.*\$argon2id\$canary/);
  });

  it('does not repeat the value that PostgreSQL could not read, but names what it could not', () => {
    const wrong = Object.assign(new Error('invalid input syntax for type uuid: "canary "or" \n two"'), {
      code: '22P02',
      severity: 'ERROR',
    });
    const { err, text } = logged(wrong);
    expect(err['message']).toBe('invalid input syntax for type uuid: "…"');
    expect(text).not.toMatch(/canary/);
    expect(logged(Object.assign(new Error('a "quoted" word'), { code: '22000' })).err['message']).toBe(
      'a "quoted" word',
    );
  });

  it('has an end: causes of causes, many in one, a long message', () => {
    const loop = new Error('x'.repeat(100_000));
    loop.cause = loop;
    const many = new AggregateError(Array.from({ length: 1_000 }, () => loop));
    expect(logged(many).text.length).toBeLessThan(1_000_000);
    expect(logged('a word').err).toEqual({ type: 'string', message: 'a word' });
    expect(logged(undefined).text).toContain('it failed');
  });
});
