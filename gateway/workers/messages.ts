import type { Readiness } from '../http/health.controller.js';

/** What the primary process and its workers say to each other. A supergraph is offered, prepared by all, then switched by all. */
export type ToWorker =
  | { readonly kind: 'offer'; readonly offer: number; readonly sdl: string }
  | { readonly kind: 'switch'; readonly offer: number }
  | { readonly kind: 'drop'; readonly offer: number; readonly why: string }
  /** Why there is nothing to offer yet. */
  | { readonly kind: 'trouble'; readonly why: string }
  /** How the others are; undefined: as ready as they have to be. */
  | { readonly kind: 'others'; readonly waitingFor: readonly string[] }
  /** What the others serve is served; until then no connection is taken. */
  | { readonly kind: 'listen' }
  | { readonly kind: 'close' };

export type ToPrimary =
  | { readonly kind: 'up' }
  | { readonly kind: 'listening'; readonly url: string }
  | { readonly kind: 'prepared'; readonly offer: number }
  | { readonly kind: 'refused'; readonly offer: number; readonly why: string }
  | { readonly kind: 'readiness'; readonly readiness: Readiness }
  /** It ends by itself, and answers until then. */
  | { readonly kind: 'leaving' };
