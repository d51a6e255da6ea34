import { errorType, type Span } from '#libs/telemetry';

/** A statement as a span: its text, in which values are only `$1`, `$2`, …, and never the values. */
export function tracedStatement(parent: Span, text: string, send: () => unknown): unknown {
  const summary = summaryOf(text);
  const span = parent.child('client', summary, {
    'db.system.name': 'postgresql',
    'db.query.text': text,
    'db.query.summary': summary,
  });
  const sent = send();
  if (!(sent instanceof Promise)) {
    span.end();
    return sent;
  }
  return sent.then(
    (result: { rowCount?: number | null }) => {
      span.set({ 'db.response.returned_rows': result.rowCount ?? 0 });
      span.end();
      return result;
    },
    (error: unknown) => {
      span.end(errorType(error));
      throw error;
    },
  );
}

/** `SELECT posts`: what it does, and the table that it names first. */
function summaryOf(text: string): string {
  let summary = summaries.get(text);
  if (summary === undefined) {
    const verb = /\w+/.exec(text)?.[0].toUpperCase() ?? 'SQL';
    const table = /\b(?:from|into|update)\s+"?([a-z_]\w*)/i.exec(text)?.[1];
    summary = table === undefined ? verb : `${verb} ${table}`;
    if (summaries.size < SUMMARIES_MAX) summaries.set(text, summary);
  }
  return summary;
}

const SUMMARIES_MAX = 1_000;
const summaries = new Map<string, string>();
