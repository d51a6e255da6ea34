import type { JsonObject } from '../run/json.js';
import type { Part } from '../run/requests.js';
import type { Fields, FieldShape } from './shape.js';

/** One entity that somebody waits for: of a part, or found in the kept value of another; or one root field. */
export interface Item {
  readonly part: Part | undefined;
  /** In the part. */
  readonly index: number;
  readonly fields: Fields;
  /** The only field that is meant, where each has a record of its own: those of the root. */
  readonly only: number | undefined;
  readonly entity: string;
  readonly representation: string;
  readonly key: JsonObject;
  /** What @requires brought, as JSON: part of what a value is the value of. */
  readonly inputs: string;
  /** As the subgraph would have answered it, as far as it is known. */
  data: JsonObject;
  /** Fields that have to be loaded. */
  missing: number[];
  /** Some of them may be kept, so that others may wait for them: everybody's, or only the viewer's. */
  flight: string | undefined;
  /** Loading failed: what is stale may be shown, as long as it was said to. */
  readonly rescued: boolean;
  /** What was shown and should be loaded anew. */
  refresh: number[];
  gone: boolean;
  /** Something of it was kept before this execution began to look. */
  found: boolean;
  /** `load`: to be asked for; `asked`; `awaited`: somebody else loads it; `known`: nothing is missing but, maybe, in entities within. */
  state: 'new' | 'known' | 'load' | 'asked' | 'awaited';
  readonly within: Item | undefined;
  /** Entities within that still lack something. */
  open: number;
  /** What is known was put where it is awaited. */
  handed: boolean;
  /** Asked about as if there were no cache, because something within could not be had. */
  whole: boolean;
  /** Its holder was looked up again, and has others within. */
  forgotten: boolean;
}

export function newItem(given: Pick<Item, 'fields' | 'entity' | 'representation' | 'key'> & Partial<Item>): Item {
  return {
    part: undefined,
    index: 0,
    only: undefined,
    inputs: '',
    data: {},
    missing: [],
    flight: undefined,
    rescued: false,
    refresh: [],
    gone: false,
    found: false,
    state: 'new',
    within: undefined,
    open: 0,
    handed: false,
    whole: false,
    forgotten: false,
    ...given,
  };
}

export function topOf(item: Item): Item {
  return item.within === undefined ? item : topOf(item.within);
}

/** It is said by the reference already. */
export function isOfKey(item: Item, field: FieldShape): boolean {
  return field.inKey && item.only === undefined && field.below === undefined && item.key[field.name] !== undefined;
}
