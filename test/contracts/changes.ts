import { buildASTSchema, findBreakingChanges, findDangerousChanges, parse, type GraphQLSchema } from 'graphql';

/** One way in which a schema asks more, or gives less, than the contract that was released. */
export interface Change {
  /** `User.handle`, or a type's name: what its line in the changelog has to name. */
  readonly coordinate: string;
  /** In graphql-js' words. */
  readonly says: string;
}

/** What a client, or the gateway, of the released contract would notice: graphql-js' breaking and dangerous changes, and keys that are gone. */
export function changesOf(contract: string, schema: string): Change[] {
  const [before, after] = [schemaOf(contract), schemaOf(schema)];
  const found = [...findBreakingChanges(before, after), ...findDangerousChanges(before, after)];
  const keys = new Set(keysOf(schema));
  return [
    ...found.map(({ description }) => ({ coordinate: coordinateIn(description), says: description })),
    ...keysOf(contract)
      .filter((key) => !keys.has(key))
      .map((key) => ({ coordinate: key.split(' ')[0] ?? key, says: `The entity key ${key} was removed.` })),
  ];
}

/** The changes that no line under Pending names, each with what to do about it. */
export function unannounced(changes: readonly Change[], changelog: string, file: string): string[] {
  const pending = changelog.split(/^## /m).find((section) => section.startsWith('Pending')) ?? '';
  return changes
    .filter(({ coordinate }) => !pending.includes(`\`${coordinate}\``))
    .map(
      ({ coordinate, says }) =>
        `${file}: ${says} Somebody may rely on it. Take it back, or put a line under Pending in CHANGELOG.md that names \`${coordinate}\` and says what to do instead.`,
    );
}

function schemaOf(sdl: string): GraphQLSchema {
  // Federation's directives are linked, not defined.
  return buildASTSchema(parse(sdl, { noLocation: true }), { assumeValidSDL: true });
}

/** `User id`, … */
function keysOf(sdl: string): string[] {
  return parse(sdl, { noLocation: true }).definitions.flatMap((definition) => {
    if (!('directives' in definition) || !('name' in definition) || !definition.name) return [];
    const { name } = definition;
    return (definition.directives ?? [])
      .filter((directive) => directive.name.value === 'key')
      .flatMap((directive) => directive.arguments ?? [])
      .flatMap(({ name: argument, value }) =>
        argument.value === 'fields' && value.kind === 'StringValue' ? [`${name.value} ${value.value}`] : [],
      );
  });
}

/** graphql-js says it in words: `User.handle was removed.`, `A required field x on input type Y was added.`, `DONE was removed from enum type State.` */
function coordinateIn(says: string): string {
  const [field] = /\b[A-Z]\w*\.\w+/.exec(says) ?? [];
  if (field !== undefined) return field;
  const [, member, type] =
    /field (\w+) on input type (\w+)/.exec(says) ??
    /(\w+) was (?:removed from|added to) enum type (\w+)/.exec(says) ??
    [];
  if (member !== undefined && type !== undefined) return `${type}.${member}`;
  return /\b(?!A\b|An\b)[A-Z]\w*/.exec(says)?.[0] ?? says;
}
