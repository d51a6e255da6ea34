import { replaced, SERVICES, type ProgramName, type Town } from './town.js';

/** Each program is ended and started again, with these settings besides its own: the services together, then the gateway. */
export async function restarted(
  town: Town,
  settings: Readonly<Record<string, string>>,
  names: readonly ProgramName[] = [...SERVICES, 'gateway'],
): Promise<void> {
  await Promise.all(names.filter((name) => name !== 'gateway').map((name) => replaced(town, name, settings)));
  if (names.includes('gateway')) await replaced(town, 'gateway', settings);
}
