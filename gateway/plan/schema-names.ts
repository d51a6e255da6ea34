import { Kind, parse, visit, type ConstDirectiveNode, type DocumentNode, type TypeNode } from 'graphql';

/** Names in a supergraph that a client's response keys must not be mistaken for. */
export interface SchemaNames {
  readonly fields: ReadonlySet<string>;
  /** Fields that a @key, @requires or @fromContext names. */
  readonly required: ReadonlySet<string>;
  /** Those of them that are named with arguments. */
  readonly requiredWithArguments: ReadonlySet<string>;
  /** Fields whose values are custom scalars, in any type. */
  readonly custom: ReadonlySet<string>;
  /** Directives that a linked spec brings, without their @. */
  readonly linked: ReadonlySet<string>;
}

export function schemaNames(supergraph: DocumentNode): SchemaNames {
  const fields = new Set<string>();
  const required = new Set<string>();
  const requiredWithArguments = new Set<string>();
  const scalars = new Set(
    supergraph.definitions.flatMap((one) => (one.kind === Kind.SCALAR_TYPE_DEFINITION ? [one.name.value] : [])),
  );
  const custom = new Set<string>();
  const linked = new Set<string>();
  const note = (directive: ConstDirectiveNode) => {
    for (const argument of directive.arguments ?? []) {
      if (argument.name.value === 'contextArguments') {
        visit(argument, { StringValue: (node) => noteSelections(node.value.replace(/^\s*\$\w+\s*/, '')) });
      } else if (
        (argument.name.value === 'key' || argument.name.value === 'requires') &&
        argument.value.kind === Kind.STRING
      ) {
        noteSelections(argument.value.value);
      }
    }
  };
  const noteSelections = (selections: string) => {
    const text = selections.trim().startsWith('{') ? selections : `{${selections}}`;
    if (!isSelectionSet(text)) return;
    visit(parse(text), {
      Field(field) {
        required.add(field.name.value);
        if (field.arguments?.length) requiredWithArguments.add(field.name.value);
      },
    });
  };
  visit(supergraph, {
    FieldDefinition(node) {
      fields.add(node.name.value);
      if (scalars.has(namedType(node.type))) custom.add(node.name.value);
    },
    Directive(node) {
      note(node as ConstDirectiveNode);
      if (node.name.value === 'link')
        visit(node, { StringValue: ({ value }) => void (value.startsWith('@') && linked.add(value.slice(1))) });
    },
  });
  return { fields, required, requiredWithArguments, custom, linked };
}

function namedType(type: TypeNode): string {
  return type.kind === Kind.NAMED_TYPE ? type.name.value : namedType(type.type);
}

/** `contextArguments` also carries names and types, which are no selections. */
function isSelectionSet(text: string): boolean {
  try {
    parse(text);
    return true;
  } catch {
    return false;
  }
}
