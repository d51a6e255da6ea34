import { writeFileSync } from 'node:fs';
import { it } from '@jest/globals';
import { print } from 'graphql';
import { conform } from './conform.js';
const env = process.env;
it('conforms', async () => {
  const t = Date.now();
  const r = await conform({
    operations: Number(env['OPS'] ?? 100),
    perWorld: Number(env['PER'] ?? 20),
    seed: Number(env['SEED'] ?? 1),
  });
  const groups = new Map<string, number>();
  for (const f of r.failures) {
    const k = `${f.way} ${f.moment.down ? 'down' : f.moment.failing.size ? 'failing' : 'calm'}`;
    groups.set(k, (groups.get(k) ?? 0) + 1);
  }
  process.stdout.write(
    `${Date.now() - t} ms ${JSON.stringify({ ...r, failures: r.failures.length, known: [...r.known] })} ${JSON.stringify([...groups])}\n`,
  );
  for (const f of r.failures.slice(0, Number(env['SHOW'] ?? 12)))
    process.stdout.write(
      `${f.world}/${f.nth} ${f.way} ${f.moment.down ?? ''} ${[...f.moment.failing].join()} :: ${f.why}\n   messages ${f.came.messages.slice(0, 3).join(' | ').slice(0, 600)}\n    truth ${f.truth.messages.slice(0, 3).join(' | ').slice(0, 300)}\n${env['FULL'] ? print(f.question.document) + JSON.stringify(f.question.variables) + '\n' : ''}`,
    );
}, 600000);
