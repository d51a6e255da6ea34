/**
 * What a person's shell gives to a program: the way to the programs and to the registry, and nothing that a test runner, npm
 * or this repository has added.
 */
export function plainEnvironment(env: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const kept =
    /^(PATH|HOME|LANG|LC_\w+|TMPDIR|NODE_EXTRA_CA_CERTS|(HTTPS?|NO|ALL)_PROXY|npm_config_(registry|cafile|(https?_)?proxy|noproxy))$/i;
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value = '']) => (kept.test(name) ? [[name, value]] : [])),
  );
}
