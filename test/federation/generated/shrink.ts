import { Kind, parse, print, validate, visit, type ASTNode, type DocumentNode } from 'graphql';
import { differences, type Case } from './conform.js';
import { DoesNotCompose, World, type Tampering } from './world.js';

/** How often a smaller case is tried: shrinking is for the reader, and may end early. */
const TRIES_MAX = 400;

/** The same difference with a smaller operation, then with smaller subgraphs. */
export async function shrink(found: Case, world: World, tampering: Tampering = {}): Promise<Case> {
  const small = await shrinkOperation(found, world);
  return shrinkSubgraphs(small, world, tampering);
}

export async function shrinkOperation(found: Case, world: World): Promise<Case> {
  let best = found;
  let tries = 0;
  for (let size = Number.POSITIVE_INFINITY; removable(best.question.document) < size && tries < TRIES_MAX;) {
    size = removable(best.question.document);
    for (let index = 0; index < removable(best.question.document) && tries < TRIES_MAX;) {
      const document = tidy(without(best.question.document, index));
      const smaller =
        document && validate(world.api, document).length === 0 ? await again(best, world, document) : undefined;
      tries += 1;
      if (smaller) best = smaller;
      else index += 1;
    }
  }
  return best;
}

async function again(found: Case, world: World, document: DocumentNode): Promise<Case | undefined> {
  const question = { document, variables: found.question.variables };
  const [result] = await differences(world, question, found.moment, [found.way]);
  return result?.verdict === found.verdict ? { ...found, question, ...result } : undefined;
}

const REMOVABLE = new Set<string>([
  Kind.FIELD,
  Kind.INLINE_FRAGMENT,
  Kind.FRAGMENT_SPREAD,
  Kind.DIRECTIVE,
  Kind.ARGUMENT,
]);

function removable(document: DocumentNode): number {
  let count = 0;
  visit(document, { enter: (node) => void (REMOVABLE.has(node.kind) && (count += 1)) });
  return count;
}

function without(document: DocumentNode, index: number): DocumentNode {
  let at = -1;
  return visit(document, {
    enter(node: ASTNode) {
      if (!REMOVABLE.has(node.kind)) return undefined;
      at += 1;
      return at === index ? null : undefined;
    },
  }) as DocumentNode;
}

/** Without what is no longer used; undefined when nothing is left to select somewhere. */
function tidy(document: DocumentNode): DocumentNode | undefined {
  const used = new Set<string>();
  let empty = false;
  visit(document, {
    SelectionSet: (set) => void (empty ||= set.selections.length === 0),
    FragmentSpread: ({ name }) => void used.add(name.value),
  });
  if (empty) return undefined;
  const fragments = document.definitions.filter(
    (one) => one.kind !== Kind.FRAGMENT_DEFINITION || used.has(one.name.value),
  );
  if (fragments.length < document.definitions.length) return tidy({ ...document, definitions: fragments });
  const variables = new Set<string>();
  visit(document, { VariableDefinition: () => false, Variable: ({ name }) => void variables.add(name.value) });
  return visit(document, {
    VariableDefinition: ({ variable }) => (variables.has(variable.name.value) ? undefined : null),
  });
}

async function shrinkSubgraphs(found: Case, world: World, tampering: Tampering): Promise<Case> {
  let best = found;
  const deadline = Date.now() + SUBGRAPHS_MS;
  for (const [subgraph, sdl] of Object.entries(best.sdl)) {
    for (let index = declared(sdl) - 1; index >= 0 && Date.now() < deadline; index -= 1) {
      const text = withoutDeclared(best.sdl[subgraph]!, index);
      const smaller =
        text === undefined ? undefined : await onSmaller(best, world, { ...best.sdl, [subgraph]: text }, tampering);
      if (smaller) best = smaller;
    }
  }
  return best;
}

const SUBGRAPHS_MS = 20_000;

async function onSmaller(
  found: Case,
  { model }: World,
  sdl: Record<string, string>,
  tampering: Tampering,
): Promise<Case | undefined> {
  let world: World;
  try {
    world = new World(model, sdl, tampering);
  } catch (error) {
    if (error instanceof DoesNotCompose) return undefined;
    return undefined;
  }
  try {
    if (validate(world.api, found.question.document).length > 0) return undefined;
    const smaller = await again(found, world, found.question.document);
    return smaller && { ...smaller, sdl };
  } finally {
    await world.close();
  }
}

const DECLARED = new Set<string>([
  Kind.FIELD_DEFINITION,
  Kind.OBJECT_TYPE_DEFINITION,
  Kind.INTERFACE_TYPE_DEFINITION,
  Kind.UNION_TYPE_DEFINITION,
]);

function declared(sdl: string): number {
  let count = 0;
  visit(parse(sdl), { enter: (node) => void (DECLARED.has(node.kind) && (count += 1)) });
  return count;
}

function withoutDeclared(sdl: string, index: number): string | undefined {
  let at = -1;
  let empty = false;
  const document = visit(parse(sdl), {
    enter(node: ASTNode) {
      if (!DECLARED.has(node.kind)) return undefined;
      at += 1;
      return at === index ? null : undefined;
    },
    leave(node: ASTNode) {
      if ('fields' in node && node.kind !== Kind.INPUT_OBJECT_TYPE_DEFINITION && node.fields?.length === 0)
        empty = true;
    },
  }) as DocumentNode;
  return empty ? undefined : print(document);
}
