import {
  Kind,
  TypeInfo,
  getNamedType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isSpecifiedScalarType,
  visit,
  visitWithTypeInfo,
  type ASTNode,
  type GraphQLInputType,
  type GraphQLSchema,
  type ValueNode,
  type VariableDefinitionNode,
} from 'graphql';
import { unused } from './key-names.js';
import type { SchemaNames } from './schema-names.js';

/** Literals in field arguments become variables. Those in directives and in defaults stay: planners read them. */
export class Literals {
  readonly #schema: GraphQLSchema;
  readonly #names: SchemaNames;
  readonly #prefix: string;
  readonly #byValue = new Map<string, { name: string; type: GraphQLInputType; json: string }>();

  constructor(schema: GraphQLSchema, names: SchemaNames, taken: ReadonlySet<string>) {
    this.#schema = schema;
    this.#names = names;
    this.#prefix = unused('_lit', [taken]);
  }

  lift<Node extends ASTNode>(node: Node): Node {
    const types = new TypeInfo(this.#schema);
    return visit(
      node,
      visitWithTypeInfo(types, {
        Directive: () => false,
        VariableDefinition: () => false,
        Argument: (argument) => {
          const definition = types.getFieldDef();
          const type = types.getArgument()?.type;
          if (!type || !definition || definition.name.startsWith('__') || !isCompositeType(types.getParentType()))
            return false;
          // What @requires writes with arguments must stay comparable, text against text.
          if (this.#names.requiredWithArguments.has(definition.name)) return false;
          const json = jsonOf(argument.value, type);
          if (json === undefined) return false;
          const key = `${String(type)} ${json}`;
          let literal = this.#byValue.get(key);
          if (!literal) {
            literal = { name: `${this.#prefix}${this.#byValue.size}`, type, json };
            this.#byValue.set(key, literal);
          }
          return { ...argument, value: { kind: Kind.VARIABLE, name: { kind: Kind.NAME, value: literal.name } } };
        },
      }),
    ) as Node;
  }

  definitions(): VariableDefinitionNode[] {
    return [...this.#byValue.values()].map(({ name, type }) => ({
      kind: Kind.VARIABLE_DEFINITION,
      variable: { kind: Kind.VARIABLE, name: { kind: Kind.NAME, value: name } },
      type: typeNode(type),
    }));
  }

  values(): Map<string, string> {
    return new Map([...this.#byValue.values()].map(({ name, json }) => [name, json]));
  }
}

/** The literal as the JSON text of a variable of that type; digits stay digits. Undefined when it must stay where it is. */
export function jsonOf(value: ValueNode, type: GraphQLInputType): string | undefined {
  const named = getNamedType(type);
  switch (value.kind) {
    case Kind.NULL:
      return 'null';
    case Kind.BOOLEAN:
      return String(value.value);
    case Kind.INT:
      // A long id written as a number would lose digits as a JSON number.
      return named.name === 'ID' || named.name === 'String' ? JSON.stringify(value.value) : value.value;
    case Kind.FLOAT:
      return value.value;
    case Kind.STRING:
      return JSON.stringify(value.value);
    case Kind.ENUM:
      return isEnumType(named) ? JSON.stringify(value.value) : undefined;
    case Kind.LIST: {
      const items = value.values.map((item) => jsonOf(item, type));
      return items.includes(undefined) ? undefined : `[${items.join(',')}]`;
    }
    case Kind.OBJECT: {
      if (!isInputObjectType(named) && isSpecifiedScalarType(named)) return undefined;
      const fields: string[] = [];
      for (const field of value.fields) {
        const fieldType = isInputObjectType(named) ? named.getFields()[field.name.value]?.type : type;
        const json = fieldType && jsonOf(field.value, fieldType);
        if (json === undefined) return undefined;
        fields.push(`${JSON.stringify(field.name.value)}:${json}`);
      }
      return `{${fields.join(',')}}`;
    }
    default:
      return undefined;
  }
}

function typeNode(type: GraphQLInputType): VariableDefinitionNode['type'] {
  if ('ofType' in type) {
    const inner = typeNode(type.ofType as GraphQLInputType);
    if (String(type).endsWith('!') && inner.kind !== Kind.NON_NULL_TYPE)
      return { kind: Kind.NON_NULL_TYPE, type: inner };
    return { kind: Kind.LIST_TYPE, type: inner };
  }
  return { kind: Kind.NAMED_TYPE, name: { kind: Kind.NAME, value: type.name } };
}
