/** One step that a stage carries out. */
export type Step =
  | { readonly verb: 'RUN'; readonly command: string }
  | {
      readonly verb: 'COPY';
      readonly from: string | undefined;
      readonly sources: readonly string[];
      readonly to: string;
    };

export interface Stage {
  readonly name: string;
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly user: string | undefined;
  readonly cmd: readonly string[] | undefined;
  readonly steps: readonly Step[];
}

/** The instructions that this repository's Dockerfile uses; any other is an error, so that no line goes untried. */
export function readDockerfile(text: string): Stage[] {
  const stages: { -readonly [K in keyof Stage]: Stage[K] }[] = [];
  for (const line of linesOf(text)) {
    const [, verb = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    if (verb === 'FROM') {
      const name = /\sAS\s+(\S+)$/i.exec(rest)?.[1] ?? String(stages.length);
      stages.push({ name, workdir: '/', env: {}, user: undefined, cmd: undefined, steps: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (stage === undefined) throw new Error(`A Dockerfile begins with FROM; came ${line}`);
    if (verb === 'WORKDIR') stage.workdir = rest;
    else if (verb === 'USER') stage.user = rest;
    else if (verb === 'CMD') stage.cmd = JSON.parse(rest) as string[];
    else if (verb === 'ENV') stage.env = { ...stage.env, ...Object.fromEntries(rest.split(/\s+/).map(pairOf)) };
    else if (verb === 'RUN') stage.steps = [...stage.steps, { verb, command: rest }];
    else if (verb === 'COPY') stage.steps = [...stage.steps, copyOf(rest)];
    else throw new Error(`The test of the image does not know ${verb}; teach it in test/deploy/dockerfile.ts`);
  }
  return stages;
}

function linesOf(text: string): string[] {
  return text
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

function pairOf(text: string): [string, string] {
  const equals = text.indexOf('=');
  if (equals < 1) throw new Error(`ENV takes NAME=value; came ${text}`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}

function copyOf(rest: string): Step {
  const words = rest.split(/\s+/);
  const from = words[0]?.startsWith('--from=') ? words.shift()?.slice('--from='.length) : undefined;
  if (words.some((word) => word.startsWith('-') || /[*?[]/.test(word)))
    throw new Error(`COPY ${rest}: only plain names`);
  const to = words.pop();
  if (to === undefined || words.length === 0) throw new Error(`COPY takes what and where to; came ${rest}`);
  return { verb: 'COPY', from, sources: words, to };
}
