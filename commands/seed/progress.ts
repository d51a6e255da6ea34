import cliProgress from 'cli-progress';

export interface Progress {
  /** So many more rows of the total are done; what is being done now. */
  add(rows: number, doing: string): void;
  stop(): void;
}

/** A bar on a terminal; elsewhere, where a bar would fill a log, a line for each tenth. */
export function showProgress(total: number, out: NodeJS.WriteStream = process.stderr, unit = 'rows'): Progress {
  return out.isTTY ? bar(total, out, unit) : showLines(total, out, unit);
}

function bar(total: number, stream: NodeJS.WriteStream, unit: string): Progress {
  const shown = new cliProgress.SingleBar({
    stream,
    format: `  [{bar}] {percentage} %  {value}/{total} ${unit}  {doing}  {eta_formatted} left`,
    hideCursor: true,
    etaBuffer: 50,
  });
  shown.start(total, 0, { doing: '' });
  return { add: (rows, doing) => shown.increment(rows, { doing }), stop: () => shown.stop() };
}

/** A line for each tenth: also where several go on at once. */
export function showLines(total: number, out: { write(text: string): unknown }, unit: string): Progress {
  const began = performance.now();
  let done = 0;
  let tenths = 0;
  return {
    add(rows, doing) {
      done += rows;
      const now = Math.floor((10 * done) / total);
      if (now > tenths) {
        const left = Math.round(((performance.now() - began) / 1_000) * (Math.max(0, total - done) / done));
        out.write(
          `  ${10 * now} %  ${done.toLocaleString('en')} of ${total.toLocaleString('en')} ${unit}  ${doing}, ${left} s left\n`,
        );
      }
      tenths = Math.max(tenths, now);
    },
    stop() {},
  };
}
