import { parse } from 'yaml';
import { z } from 'zod';

/** What this repository's docker-compose.yml uses of Compose; `readCompose` refuses what is not here. */
const service = z.strictObject({
  image: z.string(),
  build: z.string().optional(),
  pull_policy: z.string().optional(),
  init: z.boolean().optional(),
  read_only: z.boolean().optional(),
  cap_drop: z.array(z.string()).optional(),
  security_opt: z.array(z.string()).optional(),
  /** Not brought up by `docker compose up`. */
  profiles: z.array(z.string()).optional(),
  restart: z.string(),
  logging: z.strictObject({ driver: z.string(), options: z.record(z.string(), z.string()) }).optional(),
  stop_grace_period: z.string().optional(),
  ulimits: z.strictObject({ nofile: z.number() }).optional(),
  mem_limit: z
    .string()
    .regex(/^\d+[mg]$/)
    .optional(),
  memswap_limit: z.string().optional(),
  pids_limit: z.number().optional(),
  dns_opt: z.array(z.string()).optional(),
  cpus: z.number().optional(),
  networks: z.array(z.string()).default([]),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.string() })).default({}),
  healthcheck: z
    .strictObject({
      test: z.array(z.string()),
      interval: z.string(),
      timeout: z.string(),
      retries: z.number(),
      start_period: z.string().optional(),
    })
    .optional(),
});
const file = z.object({
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.strictObject({})),
  networks: z.record(z.string(), z.strictObject({ internal: z.boolean().optional() })),
});

export type ComposeService = z.infer<typeof service>;
export type ComposeFile = z.infer<typeof file>;

/** The file as `docker compose` understands it: anchors and merges resolved, `${NAME}` replaced (`${NAME:-so}` by `so` where it is missing), `$$` a dollar. */
export function readCompose(text: string, env: Readonly<Record<string, string | undefined>>): ComposeFile {
  return file.parse(replaced(parse(text, { merge: true }), env));
}

/** The names of all `${NAME}` and `${NAME:?what to do}`; or of all `${NAME:-so}`, which need not be there. */
export function variablesOf(text: string, which: 'needed' | 'optional' = 'needed'): Set<string> {
  const all = [...text.replaceAll('$$', '').matchAll(VARIABLE)];
  const isOptional = which === 'optional';
  return new Set(all.filter((match) => (match[3] !== undefined) === isOptional).map((match) => match[1] ?? ''));
}

const VARIABLE = /\$\{([A-Z_]+)(?::\?([^}]*)|:-([^}]*))?\}/g;

function replaced(value: unknown, env: Readonly<Record<string, string | undefined>>): unknown {
  if (typeof value === 'string')
    return value
      .split('$$')
      .map((text) => interpolated(text, env))
      .join('$');
  if (Array.isArray(value)) return value.map((one) => replaced(one, env));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, replaced(one, env)]));
}

function interpolated(text: string, env: Readonly<Record<string, string | undefined>>): string {
  return text.replaceAll(VARIABLE, (_, name: string, message?: string, otherwise?: string) => {
    const value = env[name] || otherwise;
    if (value === undefined || (value === '' && otherwise === undefined))
      throw new Error(`${name} is missing${message === undefined ? '' : `: ${message}`}`);
    return value;
  });
}
