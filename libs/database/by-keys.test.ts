import { expect, it } from '@jest/globals';
import { Exhausted } from '#libs/failure';
import { byKeys, type Reader, type Statements } from './index.js';

/** Two stores of keys; the first is a replica, as long as it answers. What it was asked for is noted. */
function scene({ replica, primary }: { replica: readonly string[]; primary: readonly string[] | Error }) {
  const asked: string[] = [];
  let answers = true;
  const onPrimary: Statements = {
    query: async <Row>(_: string, [keys]: readonly unknown[] = []) => {
      asked.push(`primary ${String(keys)}`);
      if (primary instanceof Error) throw primary;
      return (keys as string[]).filter((key) => primary.includes(key)) as Row[];
    },
  };
  const own: Reader = {
    query: async <Row>(text: string, values: readonly unknown[] = [], onReplica?: () => void) => {
      if (!answers) return onPrimary.query<Row>(text, values);
      asked.push(`replica ${String(values[0])}`);
      onReplica?.();
      return (values[0] as string[]).filter((key) => replica.includes(key)) as Row[];
    },
  };
  const load = async (from: Statements, keys: readonly string[]) =>
    new Map((await from.query<string>('', [keys])).map((key) => [key, key]));
  const find = byKeys({ reader: () => onPrimary }, { mayLag: true, lagged: true }, own);
  return { find: (keys: readonly string[]) => find(keys, load), load, onPrimary, asked, lost: () => (answers = false) };
}

it('what a replica found is there where the primary cannot be asked for the rest; control: all of it is lost', async () => {
  const trouble = new Exhausted();
  const { find, load, onPrimary } = scene({ replica: ['a', 'b'], primary: trouble });
  expect(await find(['a', 'x', 'b'])).toEqual(
    new Map<string, unknown>([
      ['a', 'a'],
      ['b', 'b'],
      ['x', trouble],
    ]),
  );
  await expect(load(onPrimary, ['a', 'x', 'b'])).rejects.toThrow(trouble);
});

it('what the primary itself has answered is not asked of it once more, also by who was answered by a replica before', async () => {
  const { find, asked, lost } = scene({ replica: ['a'], primary: ['a', 'b'] });
  expect(await find(['a', 'b', 'x'])).toEqual(new Map([['a', 'a'], ['b', 'b']])); // prettier-ignore
  lost();
  expect(await find(['y'])).toEqual(new Map());
  expect(asked).toEqual(['replica a,b,x', 'primary b,x', 'primary y']);
});

it('keys that are objects are told apart by their text', async () => {
  const keys = [{ id: 'a' }, { id: 'b' }];
  const seen: number[] = [];
  const own: Reader = { query: async (_text, _values, onReplica) => (onReplica?.(), []) };
  const load = async (from: Statements, some: readonly { id: string }[]) => {
    seen.push(some.length);
    await from.query('');
    return new Map(some.slice(0, 1).map(({ id }) => [id, id]));
  };
  const find = byKeys({ reader: () => own }, {}, own);
  expect(await find(keys, load, ({ id }) => id)).toEqual(new Map([['a', 'a'], ['b', 'b']])); // prettier-ignore
  expect(seen).toEqual([2, 1]);
});
