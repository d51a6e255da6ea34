import { hash } from './choose.js';
import { isLeaf, namedOf, type Field, type Model, type ObjectType } from './model.js';

/**
 * Wherever a world allows it, a subgraph that does not know every instance, and some of what it says has to be there, as far as it
 * knows. Worlds have few of them by themselves; nothing else of the world changes.
 */
export function forget(model: Model): void {
  const named = [...model.objects.values()]
    .flatMap(({ fields }) => [...fields.values()])
    .map(({ requires, homes }) => [requires, ...[...homes.values()].map(({ provides }) => provides)].join(' '))
    .join(' ');
  for (const type of model.objects.values()) {
    // As where they are made: of several keys, and of an interface, a planner may ask anybody.
    if (type.kind !== 'entity' || type.interfaces.length > 0 || type.keys.length > 1) continue;
    const others = [...type.homes.keys()].slice(1);
    const forgetful = type.forgetful ?? others.find((home) => mayForget(type, home, named));
    if (forgetful === undefined) continue;
    type.forgetful = forgetful;
    for (const field of saidBy(type, forgetful)) {
      const nonNull = isLeaf(namedOf(field.type)) && hash(field.name) % 2 === 0;
      type.fields.set(field.name, { ...field, type: { ...field.type, nonNull } });
    }
  }
}

function saidBy({ fields }: ObjectType, home: string): Field[] {
  return [...fields.values()].filter(({ homes, key }) => !key && homes.has(home));
}

/** Nobody else says any of it, or makes anything of it. */
function mayForget(type: ObjectType, home: string, named: string): boolean {
  const said = saidBy(type, home);
  return (
    said.length > 0 &&
    said.every(
      ({ name, homes, requires, needed, inaccessible }) =>
        homes.size === 1 &&
        homes.get(home)!.role === 'owns' &&
        requires === undefined &&
        needed !== true &&
        inaccessible !== true &&
        !new RegExp(`\\b${name}\\b`).test(named),
    )
  );
}
