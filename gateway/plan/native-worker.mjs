/**
 * The native planner in a process of its own, because it may end the process that it is in. Plain JavaScript, so that it is
 * the same file from source and from dist.
 */
let planner;
process.on('message', (question) => {
  answer(question).then(
    (told) => process.send(told),
    (error) => process.send({ error: String(error?.message ?? error) }),
  );
});

async function answer({ sdl, query, labels, percent }) {
  if (sdl === undefined) return { plan: await planner.planAsync(query, null, new Set(labels), percent) };
  // Not every platform has a binary.
  const { QueryPlanner } = await import('@graphql-hive/router-query-planner');
  planner = new QueryPlanner(sdl);
  return { labels: [...planner.overrideLabels, ...planner.overridePercentages.map((share) => `percent(${share})`)] };
}

// Whoever asks has ended. Leaving the usual way would wait for a planning that is under way.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
// A signal to the whole group is for the gateway, which still answers for a while.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP']) process.on(signal, () => {});
