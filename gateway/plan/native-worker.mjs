/**
 * The native planner in a process of its own, because it may end the process that it is in. Plain JavaScript, so that it is
 * the same file from source and from dist.
 */
let planner;
process.on('message', async ({ sdl, query, labels, percent }) => {
  try {
    if (sdl !== undefined) {
      // Not every platform has a binary.
      const { QueryPlanner } = await import('@graphql-hive/router-query-planner');
      planner = new QueryPlanner(sdl);
      process.send({
        labels: [...planner.overrideLabels, ...planner.overridePercentages.map((share) => `percent(${share})`)],
      });
      return;
    }
    process.send({ plan: await planner.planAsync(query, null, new Set(labels), percent) });
  } catch (error) {
    process.send({ error: String(error?.message ?? error) });
  }
});

// Whoever asks has ended. Leaving the usual way would wait for a planning that is under way.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
// A signal to the whole group is for the gateway, which still answers for a while.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
