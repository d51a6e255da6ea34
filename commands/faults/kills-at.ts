import { setTrap } from '#libs/crash-point';

/**
 * Preloaded into a program that is to be killed where only one way leads: `KILLS_AT=one>other` sends it SIGKILL at the first `other` behind
 * a `one`; of a single point, there. From SIGUSR2 on, and with `KILLS_ARMED=1` from its start.
 */
function arm(): void {
  const points = (process.env['KILLS_AT'] ?? '').split('>');
  setTrap((name) => {
    if (name === points[0]) points.shift();
    if (points.length > 0) return;
    process.kill(process.pid, 'SIGKILL');
    // A signal to oneself is usually, not always, there before kill() returns.
    for (const until = performance.now() + 20; performance.now() < until;);
  });
}

if (process.env['KILLS_ARMED'] === '1') arm();
else process.on('SIGUSR2', arm);
