/** What is promised of a gateway that is asked for more than it can (docs/decisions/0019): the run fails where it does not hold. */
export const PROMISED = { share: 0.8, shedP99Ms: 100, recoveryMs: 5_000 };
/** With less of what was to be asked for, nothing has been shown. */
const REACHED = 0.95;
/** A window after is as those before while half of its answers are no later than twice the latest half before, and this. */
const SLACK_MS = 10;

/** What is wrong with those that shed, in words. `medians`: for each number of times. */
export function brokenPromises({ stacks, times, inTimeMs }) {
  return stacks
    .filter(({ name }) => name !== 'waits')
    .flatMap(({ label, medians }) => brokenBy(medians, times, inTimeMs).map((why) => `${label}, ${why}`));
}

function brokenBy(medians, times, inTimeMs) {
  return medians.flatMap((found, index) => {
    const wrong = [];
    const percent = (value) => `${(100 * value).toFixed(1)} %`;
    const wrongIf = (isWrong, why) => isWrong && wrong.push(`${times[index]} ×: ${why}`);
    wrongIf(found.reached < REACHED, `only ${percent(found.reached)} of what was to be asked for could be asked here`);
    wrongIf(
      found.share < PROMISED.share,
      `${percent(found.share)} of the peak was answered whole within ${inTimeMs} ms, of ${percent(PROMISED.share)}`,
    );
    wrongIf(
      found.shedP99 >= PROMISED.shedP99Ms,
      `of those refused one in a hundred waited ${found.shedP99.toFixed(0)} ms, of ${PROMISED.shedP99Ms} ms`,
    );
    wrongIf(found.shedWrong > 0, `${found.shedWrong} were refused without Retry-After or not in JSON`);
    wrongIf(
      found.recoveryMs > PROMISED.recoveryMs,
      `all was well ${found.recoveryMs} ms after, of ${PROMISED.recoveryMs} ms`,
    );
    wrongIf(found.healthFailed > 0, `${found.healthFailed} health checks were not answered`);
    return wrong;
  });
}

/** Windows in a row that are as before: two seconds. */
const WELL_FOR = 8;

/**
 * When the last window ends that was not as before, of those before two seconds in which all were, in ms since the load fell. As before: all
 * whole and in time, and half of them as soon. Never two seconds: `Infinity`. A window later, in which all was good and slow, is a machine that
 * stood still for a moment as often as a gateway: those are counted, and told in words (`unwellOf`).
 */
export function recoveryMsOf(before, after, windowMs) {
  const unwell = isUnwell(before);
  const well = after.findIndex((_, first) => {
    const row = after.slice(first, first + WELL_FOR);
    return row.length === WELL_FOR && !row.some(unwell);
  });
  return well < 0 ? Infinity : well * windowMs;
}

/** Each window that was not well, in words. */
export function unwellOf(before, after, windowMs) {
  const unwell = isUnwell(before);
  return after.flatMap((window, index) =>
    unwell(window)
      ? [
          `${index * windowMs} ms after: ${window.good} of ${window.asked} good, half of them within ${window.p50.toFixed(0)} ms; who asks stood still for ${window.stoodMs.toFixed(0)} ms`,
        ]
      : [],
  );
}

function isUnwell(before) {
  const usual = 2 * Math.max(...before.map(({ p50 }) => p50)) + SLACK_MS;
  return ({ asked, good, p50 }) => good < asked || p50 > usual;
}
