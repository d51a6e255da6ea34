/** What a generated world is made of, before it is written down as one SDL per subgraph. */
export interface Model {
  readonly seed: number;
  readonly subgraphs: readonly string[];
  readonly objects: Map<string, ObjectType>;
  readonly interfaces: Map<string, InterfaceType>;
  readonly unions: Map<string, UnionType>;
}

export interface ObjectType {
  readonly name: string;
  readonly kind: 'entity' | 'value' | 'root';
  /** By name. */
  readonly fields: Map<string, Field>;
  /** Key selections, the first subgraph of `homes` has all of them. */
  readonly keys: readonly string[];
  readonly homes: Map<string, readonly Key[]>;
  readonly interfaces: string[];
  /** Where it may not be, because the interface is an object there. */
  readonly banned: Set<string>;
  /** A subgraph that does not know every instance. */
  forgetful?: string;
}

export interface Key {
  readonly fields: string;
  readonly resolvable: boolean;
}

export interface Field {
  readonly name: string;
  readonly type: TypeRef;
  readonly args: readonly Argument[];
  readonly homes: Map<string, Home>;
  /** Concrete types that it may give. */
  readonly gives: readonly string[];
  /** How a key's part follows from the number of the entity. */
  readonly key?: (index: number) => unknown;
  readonly requires?: string;
  inaccessible?: boolean;
  /** Cannot be made to fail, or be left out: others build on it. */
  needed?: boolean;
  /** Its value is the same whichever implementation it is asked of: the interface's name. */
  readonly of?: string;
}

export interface Home {
  readonly directives: string[];
  /** `external`: only provided or required. `stale`: overridden elsewhere, so whoever asks here is wrong. */
  readonly role: 'owns' | 'external' | 'stale';
  /** Says non-null, where others say nullable. */
  readonly strict?: boolean;
  /** FieldSet of @provides. */
  readonly provides?: string;
}

export interface Argument {
  readonly name: string;
  readonly type: string;
  readonly default?: string;
}

export interface InterfaceType {
  readonly name: string;
  readonly members: readonly string[];
  /** Fields that it declares, by subgraph. */
  readonly homes: Map<string, string[]>;
  /** Where it is an entity, and where an @interfaceObject. */
  readonly keyAt: string | undefined;
  readonly objectAt: string | undefined;
  /** What the @interfaceObject adds. */
  readonly added: Map<string, Field>;
}

export interface UnionType {
  readonly name: string;
  readonly homes: Map<string, readonly string[]>;
}

export type TypeRef =
  | { readonly list: TypeRef; readonly nonNull: boolean }
  | { readonly list?: undefined; readonly name: string; readonly nonNull: boolean };

export function printType(type: TypeRef): string {
  const inner = type.list ? `[${printType(type.list)}]` : type.name;
  return type.nonNull ? `${inner}!` : inner;
}

export function namedOf(type: TypeRef): string {
  return type.list ? namedOf(type.list) : type.name;
}

export const LEAVES = ['Int', 'Float', 'String', 'Boolean', 'ID', 'Hue', 'Blob'] as const;
export const HUES = ['RED', 'GREEN', 'BLUE'] as const;
/** Instances of an entity. */
export const INSTANCES = 4;

/** What every subgraph says. */
export const COMMON = `scalar Blob
enum Hue { RED GREEN BLUE UV @inaccessible }
input Filter { q: String max: Int = 3 hues: [Hue!] also: Filter secret: Int @inaccessible }`;

export function isLeaf(name: string): boolean {
  return (LEAVES as readonly string[]).includes(name);
}
