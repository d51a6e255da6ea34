import {
  Kind,
  visit,
  type ASTNode,
  type DirectiveNode,
  type DocumentNode,
  type FragmentSpreadNode,
  type OperationDefinitionNode,
  type SelectionNode,
} from 'graphql';
import { fragmentsOf } from './root-fields.js';

export type Conditions = Readonly<Record<string, boolean>>;

/** Variables whose values decide what is asked at all, in the operation and the fragments that it reaches. */
export function conditionVariables(document: DocumentNode, operation: OperationDefinitionNode): string[] {
  const names = new Set<string>();
  const fragments = fragmentsOf(document);
  const reached = new Set<ASTNode>([operation]);
  const note = {
    FragmentSpread({ name }: FragmentSpreadNode) {
      const fragment = fragments.get(name.value);
      if (fragment) reached.add(fragment);
    },
    Directive(directive: DirectiveNode) {
      if (directive.name.value !== 'skip' && directive.name.value !== 'include') return;
      for (const { value } of directive.arguments ?? []) if (value.kind === Kind.VARIABLE) names.add(value.name.value);
    },
  };
  // What is added meanwhile has its turn, too.
  for (const node of reached) visit(node, note);
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
