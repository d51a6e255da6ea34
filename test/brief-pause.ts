/** Where a rebuild waits for transactions of before: they may be another test's, on the same server, so it has to take some time. */
export const briefPause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));
