import { parse, print } from 'graphql';
import type { ContextRewrite, Entities, Path, Plan, PlanNode, Required } from './plan.js';

/** A plan for people: what is asked of whom, in which order, and where it goes. */
export function printPlan(plan: Plan): string {
  return plan.root ? lines(plan.root).join('\n') : 'Nothing is fetched.';
}

function lines(node: PlanNode): string[] {
  switch (node.kind) {
    case 'sequence':
      return ['in order', ...node.nodes.flatMap((child) => indent(lines(child)))];
    case 'parallel':
      return ['at once', ...node.nodes.flatMap((child) => indent(lines(child)))];
    case 'root':
      return [
        `${node.operationKind} ${node.subgraph}${node.path.length > 0 ? ` at ${printPath(node.path)}` : ''}`,
        ...indent(operation(node.operation)),
      ];
    case 'entities':
      return [
        `entities ${node.subgraph}`,
        ...node.entities.flatMap((entities) =>
          indent([
            `${where(entities)} by { ${entities.requires.map(printRequired).join(' ')} }`,
            ...entities.contextRewrites.map(printContext),
          ]),
        ),
        ...indent(operation(node.operation)),
      ];
  }
}

function where({ paths }: Entities): string {
  return `at ${paths.map(printPath).join(' and ')}`;
}

/** `users.*.posts<Post>` */
export function printPath(path: Path): string {
  return path
    .map((step, index) =>
      step.kind === 'key'
        ? `${index === 0 ? '' : '.'}${step.key}`
        : step.kind === 'list'
          ? '.*'
          : `<${step.types.join('|')}>`,
    )
    .join('');
}

export function printRequired(selection: Required): string {
  if (selection.kind === 'type')
    return `... on ${selection.type} { ${selection.selections.map(printRequired).join(' ')} }`;
  const name = selection.read === selection.name ? selection.name : `${selection.name}: ${selection.read}`;
  return selection.selections ? `${name} { ${selection.selections.map(printRequired).join(' ')} }` : name;
}

/** `with $currency from ..<Cart>.currency`: a step up for each `..`. */
function printContext({ up, path, variable }: ContextRewrite): string {
  const down = path.map((step) => (step.kind === 'key' ? `.${step.key}` : `<${step.types.join('|')}>`)).join('');
  return `with $${variable} from ${Array<string>(up).fill('..').join('.')}${down}`;
}

function operation(text: string): string[] {
  return print(parse(text)).split('\n');
}

function indent(text: readonly string[]): string[] {
  return text.map((line) => (line === '' ? '' : `  ${line}`));
}
