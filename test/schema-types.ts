import { Kind, parse, type FieldDefinitionNode, type TypeNode } from 'graphql';

/** Type → name → field. */
export type Types = ReadonlyMap<string, ReadonlyMap<string, FieldDefinitionNode>>;

/** The types that have fields, of a supergraph as it is written: what belongs to join and link has none. */
export function typesOf(sdl: string): Types {
  return new Map(
    parse(sdl).definitions.flatMap((one) =>
      one.kind === Kind.OBJECT_TYPE_DEFINITION || one.kind === Kind.INTERFACE_TYPE_DEFINITION
        ? [[one.name.value, new Map((one.fields ?? []).map((field) => [field.name.value, field]))] as const]
        : [],
    ),
  );
}

export function namedOf(type: TypeNode): string {
  return type.kind === Kind.NAMED_TYPE ? type.name.value : namedOf(type.type);
}
