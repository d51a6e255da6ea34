import { writeSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Preloaded into a program that a soak looks at: at SIGUSR2 it collects its garbage and says what is left, and what it has beside. What is not collected
 * yet is nobody's leak, and there is more of it for as long as there is memory.
 */
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

process.on('SIGUSR2', () => {
  // What finalizers let go is collected by the second.
  for (let nth = 0; nth < 2; nth += 1) collect();
  const { heapUsed, heapTotal, external, rss } = process.memoryUsage();
  writeSync(2, `\nlive ${heapUsed + external} native ${rss - heapTotal} rss ${rss}\n`);
});
