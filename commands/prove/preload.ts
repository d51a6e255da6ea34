import { armFromEnvironment } from '#libs/crash-point';

/**
 * For a whole program: `CRASH_AT=name node --import …/preload.js …/start.js`. It is armed by SIGUSR2, once it runs, and says so.
 * Without this file loaded before it, no program heeds CRASH_AT.
 */
process.on('SIGUSR2', () => {
  armFromEnvironment(process.env);
  process.stderr.write('armed\n');
});
