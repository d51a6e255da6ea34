import { Kind, visit, type ASTNode, type DocumentNode, type SelectionNode } from 'graphql';

export type Conditions = Readonly<Record<string, boolean>>;

/** Variables whose values decide what is asked at all. */
export function conditionVariables(document: DocumentNode): string[] {
  const names = new Set<string>();
  visit(document, {
    Directive(directive) {
      if (directive.name.value !== 'skip' && directive.name.value !== 'include') return;
      for (const { value } of directive.arguments ?? []) if (value.kind === Kind.VARIABLE) names.add(value.name.value);
    },
  });
  return [...names].sort();
}

/**
 * `@skip` and `@include` decided: what is not asked is gone before anybody plans. Both planners get fields wrong that one
 * selection asks for on a condition and a @requires needs without (found by test/federation/generated).
 */
export function decided<Node extends ASTNode>(node: Node, conditions: Conditions): Node {
  const decide = <Selection extends SelectionNode>(selection: Selection): Selection | null | undefined => {
    const directives = selection.directives ?? [];
    const rest = directives.filter(({ name }) => name.value !== 'skip' && name.value !== 'include');
    if (rest.length === directives.length) return undefined;
    const out = directives.some((directive) => {
      const value = directive.arguments?.find(({ name }) => name.value === 'if')?.value;
      const truth =
        value?.kind === Kind.VARIABLE
          ? conditions[value.name.value] === true
          : value?.kind === Kind.BOOLEAN && value.value;
      return directive.name.value === 'skip' ? truth : directive.name.value === 'include' && !truth;
    });
    return out ? null : { ...selection, directives: rest };
  };
  return visit(node, { Field: decide, InlineFragment: decide, FragmentSpread: decide }) as Node;
}
