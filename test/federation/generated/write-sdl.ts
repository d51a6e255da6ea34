import { COMMON, printType, type Field, type Home, type Model, type ObjectType } from './model.js';

const LINK = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@requires", "@provides", "@external",
  "@shareable", "@inaccessible", "@override", "@interfaceObject"])`;

/** The model as each subgraph states it. */
export function writeSdl(model: Model): Record<string, string> {
  return Object.fromEntries(model.subgraphs.map((subgraph) => [subgraph, subgraphSdl(model, subgraph)]));
}

function subgraphSdl(model: Model, subgraph: string): string {
  const parts = [LINK, COMMON];
  for (const type of model.objects.values()) {
    const text = objectSdl(model, type, subgraph);
    if (text !== undefined) parts.push(text);
  }
  for (const type of model.interfaces.values()) {
    const declared = type.homes.get(subgraph);
    if (!declared) continue;
    if (type.objectAt === subgraph) {
      const added = [...type.added.values()].map((field) => line(field, field.homes.get(subgraph)!));
      parts.push(block(`type ${type.name} @interfaceObject @key(fields: "id")`, ['id: ID!', ...added]));
      continue;
    }
    const key = type.keyAt === subgraph ? ' @key(fields: "id")' : '';
    const first = model.objects.get(type.members[0]!)!;
    const fields = declared.map((name) => line(first.fields.get(name)!, { role: 'owns', directives: [] }));
    parts.push(block(`interface ${type.name}${key}`, ['id: ID!', ...fields]));
  }
  for (const union of model.unions.values()) {
    const members = union.homes.get(subgraph);
    if (members) parts.push(`union ${union.name} = ${members.join(' | ')}`);
  }
  return parts.join('\n');
}

function objectSdl(model: Model, type: ObjectType, subgraph: string): string | undefined {
  const keys = type.homes.get(subgraph);
  if (type.kind !== 'root' && !keys) return undefined;
  const fields = [...type.fields.values()].filter((field) => {
    const added = field.of !== undefined && model.interfaces.get(field.of)?.objectAt === subgraph;
    return field.homes.has(subgraph) && !added;
  });
  if (fields.length === 0) return undefined;
  const interfaces = type.interfaces.filter((name) =>
    model.interfaces
      .get(name)!
      .homes.get(subgraph)
      ?.every((field) => type.fields.get(field)!.homes.has(subgraph)),
  );
  const head = [
    `type ${type.name}`,
    ...(interfaces.length > 0 ? [`implements ${interfaces.join(' & ')}`] : []),
    ...(keys ?? []).map((key) => `@key(fields: "${key.fields}"${key.resolvable ? '' : ', resolvable: false'})`),
    ...(type.kind === 'value' ? ['@shareable'] : []),
  ];
  return block(
    head.join(' '),
    fields.map((field) => line(field, field.homes.get(subgraph)!)),
  );
}

function line(field: Field, home: Home): string {
  const args = field.args.map(
    (one) => `${one.name}: ${one.type}${one.default === undefined ? '' : ` = ${one.default}`}`,
  );
  const type = home.strict === false ? printType({ ...field.type, nonNull: false }) : printType(field.type);
  const directives = [
    ...home.directives,
    ...(home.role === 'owns' && field.requires !== undefined ? [`@requires(fields: "${field.requires}")`] : []),
    ...(home.provides === undefined ? [] : [`@provides(fields: "${home.provides}")`]),
  ];
  return [`${field.name}${args.length > 0 ? `(${args.join(' ')})` : ''}: ${type}`, ...directives].join(' ');
}

function block(head: string, lines: readonly string[]): string {
  return `${head} {\n${lines.map((text) => `  ${text}`).join('\n')}\n}`;
}
