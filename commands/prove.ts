import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPostgres, findPostgres } from '../test/servers/postgres.js';
import { startRedis, findRedis } from '../test/servers/redis.js';
import { chartOf } from './prove/chart.js';
import { machine } from './machine.js';
import { ROOT } from './root.js';
import { embedded, onServers, type Place } from './prove/places.js';
import { PROOFS } from './prove/proofs.js';
import { QUICK_SIZE, SIZE, type Proof, type Setup } from './prove/proof.js';
import { failuresOf, tableOf, type Shown } from './prove/table.js';
import { showLines, showProgress } from './seed/progress.js';

/** Of a PostgreSQL whose speed is measured. */
const DURABLE = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on', shared_buffers: '256MB' };

/** Proofs of one place: whoever is killed is started again, and while it starts the others have the machine. One after the other all took 135 s instead of 123. */
const AT_ONCE = 2;

const USAGE = `npm run prove -- [name …] [--size n] [--quick] [--place embedded|servers] [--seed n] [--freeze s] [--save]

Kills processes, freezes them, shows them wrong clocks and events in the wrong order, and compares what was committed with what
took effect. Beside each guarantee runs its control: the naive way, which has to fail. Ends with 1 when a figure is not what it must be.
Without a name it takes two minutes; by name events, handlers, sagas and timelines take longer, and are killed at every point everywhere.

${PROOFS.map(({ name, says, always = true }) => `  ${name.padEnd(12)} ${says}${always ? '' : ' (only by name)'}`).join('\n')}

  --size     events per run; ${SIZE.toLocaleString('en')} where nothing is said, ${QUICK_SIZE.toLocaleString('en')} with --quick
  --quick    at most a minute: without names what starts many processes is shown in one place
  --freeze   how long a process is frozen, in seconds; 4 where nothing is said, 6 by name, 2 with --quick
  --place    embedded: PGlite and a stream in one process; servers: PostgreSQL and Redis, started here where their programs are
             found, or those of TEST_DATABASE_URL and TEST_REDIS_URL (databases of its own; the logical databases 12 to 15 of Redis are emptied)
  --seed     the same seed draws the same kills
  --save     writes the table, and figures as a chart, to docs/measured/<names>.md and .svg
`;

interface Asked {
  readonly proofs: readonly Proof[];
  readonly size: number;
  readonly isSizeGiven: boolean;
  readonly quick: boolean;
  /** In a hurry, and nothing was asked for by name. */
  readonly hurried: boolean;
  readonly whole: boolean;
  readonly place: Place['name'] | undefined;
  readonly seed: number;
  readonly freezeMs: number;
  readonly save: boolean;
}

const asked = read(process.argv.slice(2));
if (asked === undefined) {
  process.stderr.write(USAGE);
  process.exitCode = 2;
} else {
  process.exitCode = await prove(asked);
}

async function prove({ proofs, place, save, hurried, ...asked }: Asked): Promise<number> {
  const started = performance.now();
  const { places, missing, stop } = await findPlaces(
    place,
    proofs.some(({ wantsDurableServers }) => wantsDurableServers),
  );
  const found = new Map<Proof, Shown[]>(proofs.map((proof) => [proof, []]));
  const broken: string[] = [];
  const show = async (proof: Proof, of: Pick<Setup, 'places' | 'controls' | 'progress'>): Promise<void> => {
    const { name, says } = proof;
    process.stderr.write(`${name}: ${says}\n`);
    try {
      for (const row of await proof.run({ ...asked, ...of })) found.get(proof)?.push({ proof: name, row });
    } catch (error) {
      broken.push(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  };
  const placesOf = ({ hurriedAt }: Proof): readonly Place[] => {
    const there = hurried ? places.filter(({ name }) => name === hurriedAt) : [];
    return there.length > 0 ? there : places;
  };
  try {
    const together = proofs.filter(({ alone = false }) => !alone);
    await Promise.all(
      places.map(async (place) => {
        const here = together.filter((proof) => placesOf(proof).includes(place));
        const working = here.filter(({ waits = false }) => !waits);
        const progress: Setup['progress'] = (total, unit) =>
          places.length === 1 && together.length === 1
            ? showProgress(total, process.stderr, unit)
            : showLines(total, process.stderr, `${unit}, ${place.name}`);
        const showHere = (proof: Proof): Promise<void> =>
          show(proof, {
            places: [place],
            controls: asked.whole || place === placesOf(proof).at(-1),
            progress,
          });
        const next = async (): Promise<void> => {
          for (let proof = working.shift(); proof !== undefined; proof = working.shift()) await showHere(proof);
        };
        const waiting = here.filter(({ waits = false }) => waits);
        await Promise.all([...waiting.map(showHere), ...Array.from({ length: AT_ONCE }, next)]);
      }),
    );
    const progress: Setup['progress'] = (total, unit) => showProgress(total, process.stderr, unit);
    for (const proof of proofs.filter(({ alone = false }) => alone))
      await show(proof, { places, controls: true, progress });
  } finally {
    await stop().catch((error: unknown) =>
      broken.push(`what was made for the proofs was not all dropped: ${String(error)}`),
    );
  }
  const order = (one: Shown): number => places.findIndex(({ name }) => name === one.row.place);
  const shown = [...found.values()].flatMap((rows) => rows.toSorted((one, other) => order(one) - order(other)));
  const seconds = ((performance.now() - started) / 1_000).toFixed(0);
  const command = ['npm run prove', process.argv.slice(2).join(' ')].filter(Boolean).join(' -- ');
  const note = `${command} · ${new Date().toISOString().slice(0, 10)} · ${machine()} · seed ${asked.seed} · ${seconds} s`;
  console.log(`${note}\n\n${tableOf(shown)}`);
  if (save) await keep(proofs.map(({ name }) => name).join('-'), note, shown);
  const failures = [...failuresOf(shown), ...broken, ...(process.env['REQUIRE_SERVERS'] === '1' ? missing : [])];
  for (const line of missing) console.log(`\nNot shown: ${line}`);
  if (failures.length > 0) console.error(`\n${failures.map((line) => `✗ ${line}`).join('\n')}`);
  return failures.length > 0 ? 1 : 0;
}

async function keep(name: string, note: string, shown: readonly Shown[]): Promise<void> {
  const folder = join(ROOT, 'docs/measured');
  await mkdir(folder, { recursive: true });
  const chart = shown.some(({ row }) => row.figures.some(({ unit }) => unit !== undefined));
  const picture = chart ? `![chart](${name}.svg)\n\n` : '';
  await writeFile(join(folder, `${name}.md`), `# ${name}\n\n\`${note}\`\n\n${picture}${tableOf(shown)}\n`);
  if (chart) await writeFile(join(folder, `${name}.svg`), chartOf(shown, `npm run prove: ${name}`, note));
}

async function findPlaces(only: Place['name'] | undefined, durable: boolean) {
  const stops: (() => Promise<void>)[] = [];
  const places: Place[] = only === 'servers' ? [] : [embedded()];
  const missing: string[] = [];
  if (only !== 'embedded') {
    let postgres = process.env['TEST_DATABASE_URL'];
    let redis = process.env['TEST_REDIS_URL'];
    if (!postgres && findPostgres() !== undefined) {
      const server = await startPostgres(durable ? { settings: DURABLE } : {});
      stops.push(() => server.stop());
      postgres = server.url;
    }
    if (!redis && findRedis() !== undefined) {
      const server = await startRedis();
      stops.push(() => server.stop());
      redis = server.url;
    }
    if (postgres && redis) places.push(onServers({ postgres, redis }));
    else {
      const what = [postgres ? '' : 'PostgreSQL (TEST_DATABASE_URL)', redis ? '' : 'Redis (TEST_REDIS_URL)'];
      missing.push(`servers: no ${what.filter(Boolean).join(' and no ')} was found on this machine`);
    }
  }
  return {
    places,
    missing,
    stop: async () => {
      try {
        for (const place of places) await place.close();
      } finally {
        await Promise.all(stops.map((stop) => stop()));
      }
    },
  };
}

function read(args: string[]): Asked | undefined {
  try {
    const { positionals, values } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        size: { type: 'string' },
        quick: { type: 'boolean', default: false },
        place: { type: 'string' },
        seed: { type: 'string' },
        freeze: { type: 'string' },
        save: { type: 'boolean', default: false },
      },
    });
    const unknown = positionals.find((name) => !PROOFS.some((proof) => proof.name === name));
    if (unknown !== undefined) {
      throw new RangeError(`a proof is one of ${PROOFS.map(({ name }) => name).join(', ')}; came ${unknown}`);
    }
    const { place, quick } = values;
    if (place !== undefined && place !== 'embedded' && place !== 'servers') {
      throw new RangeError(`--place takes embedded or servers; came ${place}`);
    }
    return {
      proofs: PROOFS.filter(({ name, always = true }) =>
        positionals.length === 0 ? always : positionals.includes(name),
      ),
      size: wholeNumber('--size', values.size ?? String(quick ? QUICK_SIZE : SIZE), 100, 10_000_000),
      isSizeGiven: values.size !== undefined,
      quick,
      hurried: quick && positionals.length === 0 && place === undefined,
      whole: positionals.length > 0 && !quick,
      place,
      save: values.save,
      freezeMs:
        1_000 * wholeNumber('--freeze', values.freeze ?? (quick ? '2' : positionals.length > 0 ? '6' : '4'), 1, 60),
      seed: wholeNumber('--seed', values.seed ?? String(Date.now() % 1_000_000), 0, 1_000_000_000),
    };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n`);
    return undefined;
  }
}

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} takes a whole number from ${min} to ${max}; came ${text}`);
  }
  return value;
}
