// The native planner, asked in a process of its own whether it survives a question. Plain JavaScript: it is forked as it is.
import { QueryPlanner } from '@graphql-hive/router-query-planner';

let planner;
process.on('message', ({ supergraph, query, labels, percent }) => {
  if (supergraph !== undefined) planner = new QueryPlanner(supergraph);
  planner.planAsync(query, null, new Set(labels), percent, AbortSignal.timeout(5_000)).then(
    () => process.send('planned'),
    () => process.send('refused'),
  );
});
