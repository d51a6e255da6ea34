import { PROMISED } from './promises.mjs';

/** Of things of one shape the median of each figure: of what is within them as well. */
export function medianOf(things) {
  const [first] = things;
  if (typeof first === 'number') return things.toSorted((a, b) => a - b)[things.length >> 1];
  if (Array.isArray(first)) return first.map((_, index) => medianOf(things.map((thing) => thing[index])));
  if (first === null || typeof first !== 'object') return first;
  return Object.fromEntries(Object.keys(first).map((key) => [key, medianOf(things.map((thing) => thing[key]))]));
}

const percent = (value) => `${(100 * value).toFixed(0)} %`;
const ms = (value) => value.toFixed(0);
const cores = (value) => value.toFixed(2);

/** What is asked of whom. */
function subject({ delayMs, slow, databaseMs }) {
  if (databaseMs > 0)
    return `a profile page of examples/profile-page.graphql, of Tributary as it is deployed, whose PostgreSQL answers ${databaseMs} ms late
and whose caches are off`;
  const late =
    slow === undefined
      ? 'which answer, each on a port of its own,'
      : `of which ${slow}, on a port of its own as all are, answers`;
  return `the published shape (88 KB: one page of a shop over four services), each request with an Authorization
header of its own that reaches the subgraphs${delayMs > 0 ? `, ${late} ${delayMs} ms late` : ''}`;
}

export function page(run, broken) {
  const { command, date, machine, load, rounds, times, connections, open, inTimeMs, windowMs, stacks, left } = run;
  const rows = (read) =>
    stacks
      .flatMap(({ label, medians }) => medians.map((found, index) => read(label, `${times[index]} ×`, found)))
      .map((cells) => `| ${cells.join(' | ')} |`)
      .join('\n');
  const answers = rows((label, asked, found) => [
    label,
    asked,
    ms(found.asked),
    ms(found.good),
    `${percent(found.share)} of ${ms(found.peak)}`,
    ms(found.goodP99),
    percent(found.shed) + (found.shedAtDoor > 0 ? `, ${percent(found.shedAtDoor)} of them at the door` : ''),
    ...(found.shed > 0
      ? [`${ms(found.shedP50)} / ${ms(found.shedP99)} / ${ms(found.shedMost)}`, found.shedWrong === 0 ? 'all' : 'no']
      : ['', '']),
    percent(found.late),
    [percent(found.other), ...Object.entries(found.errors).map(([why, many]) => `${why}: ${many}`)].join(', '),
    found.recoveryMs === Infinity
      ? 'not in 10 s'
      : `${found.recoveryMs} ms${found.unwellLater > 0 ? `, and ${found.unwellLater} windows later not` : ''}`,
    found.healthFailed === 0 ? `${ms(found.healthMs)} ms` : `${found.healthFailed} without answer`,
  ]);
  const used = rows((label, asked, { cores: now, peakCores: peak, answerMs, refusalMs, askMs, lagP99, perCpu }) => [
    label,
    asked,
    `${cores(now.gateway)} (${cores(peak.gateway)})`,
    now.door > 0 ? `${cores(now.door)} (${cores(peak.door)})` : '',
    `${cores(now.services)} (${cores(peak.services)})`,
    `${cores(now.client)} (${cores(peak.client)})`,
    `${cores(now.idle)} (${cores(peak.idle)})`,
    percent(perCpu),
    `${answerMs.toFixed(2)} ms`,
    refusalMs === undefined ? '' : `${(1_000 * refusalMs).toFixed(0)} µs`,
    `${(1_000 * askMs).toFixed(0)} µs`,
    `${lagP99.toFixed(1)} ms`,
  ]);
  return `# More than it can

\`${command}\`, ${date}

${broken.length === 0 ? `All that is promised held: at least ${percent(PROMISED.share)} of the peak, refusals known in less than ${PROMISED.shedP99Ms} ms (p99), well again within ${PROMISED.recoveryMs / 1_000} s.` : `**Not as promised**: ${broken.join('; ')}.`}

![chart](chart.svg)

${machine}, load ${load.toFixed(1)} when it began; ${subject(run)}; ${rounds} ${rounds === 1 ? 'turn' : 'turns'} of ${run.ms / 1_000} s${rounds === 1 ? '' : ', medians'}. The peak is what ${connections} clients get who each wait for their answer, and come again
after a second where they are refused, before or after, whichever is more. Then requests come at so many times that rate, whoever has been answered or not, on ${open} connections that are open already; the time of each
counts from the moment at which it was to be asked. Good is an answer that is whole and no older than ${inTimeMs / 1_000} s. For 3 s before and 10 s after, half the peak is asked for:
well again is from when on for two seconds all are good in each window of ${windowMs} ms, and half of them as soon as before; windows after that which were not are counted too. Whoever has waited 10 s for an answer goes.

| | asked for | asked/s | good/s | of the peak | p99 ms of those | refused with 503 | p50 / p99 / most ms of those | Retry-After, JSON | too late | otherwise not whole | well again after | health check, slowest |
|---|---|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|
${answers}

Client, gateway and subgraphs share two cores. Cores that each used meanwhile, and at the peak; what a refusal costs the gateway is what is left of its CPU
when each good answer has cost what it did at the peak. A gateway is one thread: what it refuses it does not answer meanwhile.

| | asked for | gateway | door | subgraphs | who asks | nobody | good answers for the gateway's CPU, of those at the peak | a good answer costs the gateway | a refusal | to ask and be answered | asked late, p99 |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
${used}${left.map((why) => `\n\n${why}.`).join('')}`;
}
