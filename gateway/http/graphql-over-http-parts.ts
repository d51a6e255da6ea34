import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Clock, Logger, Tracer } from '#libs/telemetry';
import type { Grants } from '../authorization/grants.js';
import type { ServedSupergraph } from '../supergraph/served.js';
import type { Admission } from './admission.js';
import type { Bodies } from './bodies.js';
import type { Consistency } from './consistency.js';
import type { CorsRules } from './cross-site.js';
import type { Bearer, Identity } from './identity.js';
import type { DocumentText } from './persisted-documents.js';
import type { Rates } from './rates.js';
import type { Turns } from './turns.js';
import type { Untaken } from './untaken.js';
import type { VariableLimits } from './variables.js';

/** What a request is answered with: made once, by start.ts. */
export interface GraphqlOverHttpParts {
  readonly served: ServedSupergraph;
  /** Whether one more request is taken; undefined: each is. */
  readonly admission?: Admission | undefined;
  /** Told of each request and what became of it; undefined: nobody counts. No `route`: there is nothing at its address. */
  readonly observe?:
    | {
        request(method: string, status: number, ms: number, route: string | undefined): void;
        /** `ms`: since it had come whole, of one that was run; a refusal has none. */
        answered(outcome: string, ms?: number): void;
      }
    | undefined;
  /** Begins a trace, or goes on with the client's; undefined: nobody traces. */
  readonly tracer?: Tracer | undefined;
  readonly identity: Identity;
  /** How a client is shown what it wrote; undefined: there are no tokens. */
  readonly consistency?: Consistency | undefined;
  /** Whose reads may ask for nothing that is kept; absent: nobody's. */
  readonly monotonicReadsOf?: ((subject: string | null) => boolean) | undefined;
  readonly cors: CorsRules;
  /** Names of client headers that subgraphs get, lower case. */
  readonly forward: readonly string[];
  /** Which text a request means, when it may say so by an id. */
  readonly documentText?: DocumentText;
  /** Texts of which nobody pays for the reading. */
  readonly registered?: ((text: string) => boolean) | undefined;
  /** How much each client may ask for; absent: as much as they like. */
  readonly rates?: Rates | undefined;
  /** How many proxies stand before us, so that each client has turns of its own; absent: none. */
  readonly proxies?: number | undefined;
  /** Which client it is, for subgraphs that count what each does; absent: they are not told. */
  readonly client?: ((request: IncomingMessage) => string) | undefined;
  readonly bodyBytesMax: number;
  /** Absent: VARIABLE_LIMITS. */
  readonly variables?: VariableLimits | undefined;
  /** How many errors of an answer its client is told; absent: CLIENT_ERRORS_MAX. */
  readonly errorsMax?: number | undefined;
  /** How much of all bodies together may have come before they are whole; absent: any number of them. */
  readonly bodies?: Bodies | undefined;
  /** Whose turn it is to have a long body or an unknown text read; absent: it is read at once, however many there are. */
  readonly turns?: Turns | undefined;
  /** While it is `full` nothing is parsed that nobody has sent before; absent: never. */
  readonly heap?: { readonly full: boolean } | undefined;
  /** How much of all answers together may wait for their clients, and how long; absent: all of it, as long as they like. */
  readonly untaken?: Untaken | undefined;
  readonly timeoutMs: number;
  readonly suggestions: boolean;
  /** What a request may have, where that is not only its token's to say (POLICY_MODULE). */
  readonly grants?: ((request: IncomingMessage, bearer: Bearer | null) => Grants) | undefined;
  /** May this request be told how it was answered? */
  readonly explain?: ((headers: IncomingHttpHeaders) => boolean) | undefined;
  /** Answers a browser that came to look; undefined: there is no page. */
  readonly page: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly newId: () => string;
}
