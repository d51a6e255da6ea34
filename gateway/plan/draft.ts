import { Kind, type FieldNode, type SelectionNode, type SelectionSetNode } from 'graphql';
import { fieldsIn, headOf, textOfSelections, variablesIn, type FetchText } from './fetch-text.js';
import type { Path, PlanNode, Required, Rewrite, RewriteStep } from './plan.js';

/** A fetch whose selection is still being written. */
export interface DraftFetch {
  readonly subgraph: string;
  readonly path: Path;
  readonly set: DraftSet;
  /** Undefined: it is asked at the root. */
  readonly requires: readonly Required[] | undefined;
  readonly inputRewrites: readonly Rewrite[];
  readonly outputRewrites: Rewrite[];
  readonly mutation: boolean;
}

/** When all is written: `asked` declares its variables. */
export function fetchNode(
  { subgraph, path, set, requires, inputRewrites, outputRewrites, mutation }: DraftFetch,
  asked: FetchText,
): PlanNode {
  const selection = set.node();
  const variables = [...variablesIn(selection, ...asked.directives)];
  const declared = variables.map((name) => asked.variables.get(name)!);
  if (!requires) {
    const kind = mutation ? 'mutation' : 'query';
    const head = headOf(kind, declared, asked.directives);
    return {
      kind: 'root',
      subgraph,
      operationKind: kind,
      operation: `${head}${textOfSelections(selection)}`,
      variables,
      path,
      outputRewrites,
    };
  }
  const head = headOf('query', ['$representations:[_Any!]!', ...declared], asked.directives);
  return {
    kind: 'entities',
    subgraph,
    operation: `${head}{_entities(representations:$representations)${textOfSelections(selection)}}`,
    variables,
    entities: [
      {
        alias: '_entities',
        variable: 'representations',
        paths: [path],
        requires,
        inputRewrites,
        outputRewrites,
        contextRewrites: [],
      },
    ],
  };
}

/** A selection set that is still being written: fields by the object type that they are asked of, each key once. */
export class DraftSet {
  /** The type that the subgraph gives here; fields of it need no fragment. */
  readonly type: string | undefined;
  readonly #asksType: boolean;
  /** The way here from the top of the fetch. */
  readonly #at: readonly RewriteStep[];
  readonly #rewrites: Rewrite[];
  readonly #byType = new Map<string, Map<string, Drafted>>();

  constructor(type: string | undefined, asksType: boolean, rewrites: Rewrite[], at: readonly RewriteStep[] = []) {
    this.type = type;
    this.#asksType = asksType;
    this.#rewrites = rewrites;
    this.#at = at;
  }

  /** `below`: what the subgraph calls the type of the field's value, where that has fields itself. */
  add(on: string, field: FieldNode, declared: string, below: string | undefined): DraftSet | undefined {
    const key = field.alias?.value ?? field.name.value;
    let fields = this.#byType.get(on);
    if (!fields) this.#byType.set(on, (fields = new Map()));
    let drafted = fields.get(key);
    if (!drafted) {
      const { selectionSet: _below, ...rest } = field;
      const own = this.#own(on, key, declared);
      const steps = on === this.type ? this.#at : [...this.#at, { kind: 'types' as const, types: [on] }];
      if (own !== key) this.#rewrites.push({ kind: 'rename', path: [...steps, { kind: 'key', key: own }], to: key });
      drafted = {
        field: own === field.name.value ? withoutAlias(rest) : { ...rest, alias: nameOf(own) },
        declared,
        set:
          below === undefined
            ? undefined
            : new DraftSet(below, true, this.#rewrites, [...steps, { kind: 'key', key: own }]),
      };
      fields.set(key, drafted);
    }
    return drafted.set;
  }

  node(): SelectionSetNode {
    const selections: SelectionNode[] = this.#asksType ? [TYPENAME] : [];
    for (const [on, fields] of this.#byType) {
      const drafted = [...fields.values()].map(({ field, set }) =>
        set ? { ...field, selectionSet: set.node() } : field,
      );
      if (on === this.type) selections.push(...drafted);
      else if (drafted.length > 0) selections.push(onType(on, drafted));
    }
    return fieldsIn(selections.length > 0 ? selections : [TYPENAME]);
  }

  /** GraphQL allows no two fields of one key whose types differ, not even of two types: the second goes by another name. */
  #own(on: string, key: string, declared: string): string {
    let clashes = 0;
    for (const [other, fields] of this.#byType) {
      const there = other === on ? undefined : fields.get(key);
      if (there && there.declared !== declared) clashes += 1;
    }
    return clashes === 0 ? key : `${key}__${on}`;
  }
}

interface Drafted {
  readonly field: FieldNode;
  readonly declared: string;
  readonly set: DraftSet | undefined;
}

export function onType(type: string, selections: readonly SelectionNode[]): SelectionNode {
  const typeCondition = { kind: Kind.NAMED_TYPE as const, name: nameOf(type) };
  return { kind: Kind.INLINE_FRAGMENT, typeCondition, selectionSet: fieldsIn(selections) };
}

export function nameOf(value: string) {
  return { kind: Kind.NAME as const, value };
}

function withoutAlias({ alias: _alias, ...field }: FieldNode): FieldNode {
  return field;
}

const TYPENAME: FieldNode = { kind: Kind.FIELD, name: nameOf('__typename') };
