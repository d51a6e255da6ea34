import { SERVICES, type ProgramName, type Town } from './town.js';

/** Each program is ended and started again, with these settings besides its own: the services together, then the gateway. */
export async function restarted(
  town: Town,
  settings: Readonly<Record<string, string>>,
  names: readonly ProgramName[] = [...SERVICES, 'gateway'],
): Promise<void> {
  const again = async (name: ProgramName): Promise<void> => {
    town.signal(name, 'SIGTERM');
    await town.restart(name, settings);
  };
  await Promise.all(names.filter((name) => name !== 'gateway').map(again));
  if (names.includes('gateway')) await again('gateway');
}
