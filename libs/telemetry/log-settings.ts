import { choice } from '#libs/settings';

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export const logSettings = {
  LOG_LEVEL: choice(LEVELS, {
    default: 'info',
    why: 'From which level on something is a line of the log; npm start by itself from warn on.',
  }),
};

/** What LOG_LEVEL says. A log is there before the settings are read, so one that is wrong is told with them, and not here. */
export function logLevel(standard: (typeof LEVELS)[number]): string {
  return logSettings.LOG_LEVEL.parse(process.env['LOG_LEVEL'] ?? '') ?? standard;
}
