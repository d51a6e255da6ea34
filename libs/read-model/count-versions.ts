/**
 * A kept count has two versions: its column, and the column of that name with `_2` behind it. The row of its model in `read_models` says
 * which of them answers, and whoever changes the count changes both, by one SET. NULL is a version that was never built: NULL and one
 * more is NULL, so no writer need know what is being built.
 */
export function versionOf(column: string, version: number): string {
  return version === 2 ? `${column}_2` : column;
}

/** SQL for SET: both versions. `value` is the SQL of one of them, given its column. */
export function inBoth(column: string, value: (column: string) => string): string {
  return [1, 2].map((version) => `${versionOf(column, version)} = ${value(versionOf(column, version))}`).join(', ');
}

/** SQL: the version that answers, of the row `row`. It looks into `read_models` once for the statement, not once for each row. */
export function answering(model: string, row: string, column: string): string {
  const serving = `(SELECT serving FROM read_models WHERE name = '${model}')`;
  return `CASE ${serving} WHEN 2 THEN ${row}.${versionOf(column, 2)} ELSE ${row}.${versionOf(column, 1)} END`;
}
