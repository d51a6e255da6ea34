import { z } from 'zod';

import { EVENTS, type Catalogue, type EventType } from './catalogue.js';
import type { DomainEvent } from './event.js';

const envelope = z.object({
  id: z.uuid(),
  type: z.string().min(1).max(100),
  version: z.int().min(1),
  source: z.string().min(1).max(100),
  aggregate: z.string().min(1).max(200),
  aggregateVersion: z.int().min(1),
  at: z.iso.datetime({ precision: 3 }),
  actor: z.uuid().nullable(),
  payload: z.unknown(),
  // What it says is nothing that an event could fail by.
  trace: z.string().max(64).optional().catch(undefined),
});

/** What every event has, also one that is newer than this program. */
export type Envelope = Readonly<z.infer<typeof envelope>>;

/** The value is an event, but not one of this catalogue: of a newer program, or its payload is not what was agreed. */
export class UnknownEvent extends Error {
  override name = 'UnknownEvent';
}

/** Of a type or version that this catalogue does not have yet: a newer program's will. */
export class NewerEvent extends UnknownEvent {
  override name = 'NewerEvent';
}

/** Most bytes of an event as it travels; the largest of the catalogue, a post of 5,000 bytes, stays far below. */
export const EVENT_BYTES_MAX = 262_144;

/** How far ahead the clock of whoever tells may be. */
const AHEAD_MS_MAX = 86_400_000;

/**
 * Parses a value from outside as an event of this catalogue; throws `UnknownEvent` saying what was expected and what came.
 * Both sides do: who records an event before it is stored, who hears it before it takes effect. One of a version before comes out as
 * one of today's.
 */
export const check = checkOf(EVENTS);

export function checkOf(catalogue: Catalogue): (value: unknown, nowMs?: number) => DomainEvent {
  return (value, nowMs = Date.now()) => {
    const event = checkEnvelope(value);
    const { type, source, at } = event;
    const known = kindOf(catalogue, event);
    if (known instanceof NewerEvent) throw known;
    if (known.source !== source) throw new UnknownEvent(`${type} is told by ${known.source}; came from ${source}`);
    if (Date.parse(at) > nowMs + AHEAD_MS_MAX)
      throw new UnknownEvent(`at: ${at} is more than a day ahead of the clock here`);
    let { payload } = event;
    for (let version = event.version; version <= known.version; version += 1) {
      const schema = version === known.version ? known.payload : known.before?.[version];
      if (schema === undefined) throw new UnknownEvent(versionOf(event, known.version));
      const parsed = schema.safeParse(payload);
      if (!parsed.success) throw new UnknownEvent(`payload of ${type}: ${says(parsed.error)}`);
      payload = parsed.data;
    }
    return { ...event, version: known.version, payload } as DomainEvent;
  };
}

/** What the catalogue says of its type; of one that it does not have yet, in what way it is newer. */
export function kindOf(catalogue: Catalogue, event: Envelope): Catalogue[string] | NewerEvent {
  const { type, version } = event;
  const known = Object.hasOwn(catalogue, type) ? catalogue[type] : undefined;
  if (known === undefined) return new NewerEvent(`no event type ${type} here`);
  return known.version < version ? new NewerEvent(versionOf(event, known.version)) : known;
}

function versionOf({ type, version }: Envelope, known: number): string {
  return `${type} is version ${known} here; came ${version}`;
}

/** Parses only what every event has, so that an event of a newer program can be kept for later. */
export function checkEnvelope(value: unknown): Envelope {
  const parsed = envelope.safeParse(value);
  if (!parsed.success) throw new UnknownEvent(`not an event: ${says(parsed.error)}`);
  return parsed.data;
}

export function isEventType(type: string): type is EventType {
  return Object.hasOwn(EVENTS, type);
}

function says(error: z.ZodError): string {
  return error.issues
    .slice(0, 3)
    .map((issue) => `${issue.path.join('.') || 'the value'}: ${issue.message}`)
    .join('; ');
}
