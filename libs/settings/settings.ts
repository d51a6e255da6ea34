import { refusesWeak } from './weak-secret.js';

/** One setting of a program: everything `docs/settings.md` says of it. */
export interface Setting<T> {
  /** What a value has to look like, in words: 'a port, 0 to 65535'. */
  readonly takes: string;
  /** Absent: the setting is undefined unless it is given. */
  readonly default?: T;
  readonly why: string;
  /** A secret is never printed. */
  readonly secret?: boolean;
  /** Why anybody would try this value of a secret before others (`whyWeak`); undefined: nothing is known against it. */
  readonly weak?: (text: string) => string | undefined;
  /** What may be shown of a text; absent: all of it. */
  readonly show?: (text: string) => string;
  /** What a text that is none probably is, to follow it in a sentence; undefined: nothing is known. */
  readonly hint?: (text: string, name: string) => string | undefined;
  /** The value of a text, or undefined when the text is not what the setting takes. */
  readonly parse: (text: string) => T | undefined;
}

/** The settings of one program, by the name of their environment variable. */
export type Settings = Readonly<Record<string, Setting<unknown>>>;

/** `{ PORT: Setting<number> with default }` → `{ PORT: number }`; without a default the value may be undefined. */
export type Values<S extends Settings> = {
  readonly [Name in keyof S]: S[Name] extends { default: infer D }
    ? Exclude<D, undefined> extends never
      ? never
      : S[Name] extends Setting<infer T>
        ? T
        : never
    : S[Name] extends Setting<infer T>
      ? T | undefined
      : never;
};

export type Environment = Readonly<Record<string, string | undefined>>;

/** Thrown with every mistake at once, each with the variable's name, what it takes and (unless secret) what came. */
export class SettingsError extends Error {
  constructor(readonly mistakes: readonly string[]) {
    super(`The settings are wrong; nothing was started.\n${mistakes.map((mistake) => `  ${mistake}`).join('\n')}`);
    this.name = 'SettingsError';
  }
}

/**
 * Environment → frozen, typed values. An empty text counts as absent. `more` adds mistakes that need several settings, each
 * beginning with the name of one; where that one is wrong by itself, nothing is added to it.
 */
export function readSettings<S extends Settings>(
  settings: S,
  env: Environment,
  more: (values: Values<S>) => readonly string[] = () => [],
): Values<S> {
  const mistakes: string[] = [];
  const wrong = new Set<string>();
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(settings)) {
    const text = env[name];
    if (text === undefined || text === '') {
      values[name] = setting.default;
      continue;
    }
    const value = setting.parse(text);
    values[name] = value ?? setting.default;
    const mistake = mistakeIn(name, setting, text, env);
    if (mistake !== undefined) {
      wrong.add(name);
      mistakes.push(mistake);
    }
  }
  mistakes.push(...more(values as Values<S>).filter((mistake) => !wrong.has(/^\w*/.exec(mistake)![0])));
  if (mistakes.length > 0) throw new SettingsError(mistakes);
  return Object.freeze(values) as Values<S>;
}

/** What is wrong with the text of one setting, for a person; undefined: it is taken. */
export function mistakeIn(name: string, setting: Setting<unknown>, text: string, env: Environment): string | undefined {
  const takes = `${name} takes ${setting.takes}`;
  if (setting.parse(text) === undefined) {
    if (setting.secret) return `${takes}; came something else (not shown)`;
    return `${takes}; came ${JSON.stringify(setting.show?.(text) ?? text)}${setting.hint?.(text, name) ?? ''}`;
  }
  const weak = refusesWeak(env) ? setting.weak?.(text) : undefined;
  return weak && `${takes}; came ${weak} (not shown), which NODE_ENV=production refuses`;
}

/** Secrets that are taken and that anybody would try before others, by name, in one sentence each. Where they are refused there are none. */
export function weakSecretsIn(
  settings: Settings,
  env: Environment,
): { readonly variable: string; readonly says: string }[] {
  if (refusesWeak(env)) return [];
  return Object.entries(settings).flatMap(([variable, setting]) => {
    const text = env[variable];
    // What is not taken at all is told as that, with all other mistakes.
    const weak = text && setting.parse(text) !== undefined ? setting.weak?.(text) : undefined;
    if (weak === undefined) return [];
    const says = `${variable} takes ${setting.takes}; came ${weak} (not shown), which is taken only because NODE_ENV is not production`;
    return [{ variable, says }];
  });
}
