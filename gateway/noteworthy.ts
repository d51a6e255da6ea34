import { openFigures, type Logger } from '#libs/telemetry';
import { isOwn, type GatewayConfig } from './config.js';

/** Says, a line each, what settings that may be meant so leave undone, and would else be found out by somebody who makes use of it. */
export function tellNoteworthy(config: GatewayConfig, logger: Logger): void {
  for (const says of noteworthyIn(config)) logger.warn({}, says);
}

export function noteworthyIn(config: GatewayConfig): string[] {
  const { NODE_ENV, IDENTITY, ENDED_SESSIONS_URL } = config;
  const { RATE_LIMIT_PERSON: person, RATE_LIMIT_ADDRESS: address, RATE_LIMIT_ADDRESS_PEOPLE: people } = config;
  const said: string[] = [];
  if (!ENVIRONMENTS.includes(NODE_ENV))
    said.push(
      `NODE_ENV is ${JSON.stringify(NODE_ENV)}, which counts as development and closes nothing; it takes ${ENVIRONMENTS.join(', ')}`,
    );
  if (person + address === 0 && !isOwn(config))
    said.push('Anybody may ask for as much as they like: RATE_LIMIT_PERSON and RATE_LIMIT_ADDRESS are not set');
  if (person > 0 && address === 0)
    said.push(
      'Whoever is not logged in may ask for as much as they like: RATE_LIMIT_PERSON is set, RATE_LIMIT_ADDRESS is not',
    );
  if (person === 0 && address > 0 && IDENTITY === 'jwt')
    said.push(
      people === 0
        ? 'Whoever is logged in may ask for as much as they like: RATE_LIMIT_ADDRESS is set, RATE_LIMIT_PERSON is not'
        : 'One person who is logged in may take what all of their address have together (RATE_LIMIT_ADDRESS_PEOPLE): RATE_LIMIT_PERSON is not set',
    );
  if (IDENTITY === 'jwt' && ENDED_SESSIONS_URL === undefined)
    said.push('Whoever logs out is logged in here until their token runs out by itself: ENDED_SESSIONS_URL is not set');
  const figures = openFigures(config);
  return figures === undefined ? said : [...said, figures];
}

const ENVIRONMENTS: readonly string[] = ['production', 'development', 'test'];
