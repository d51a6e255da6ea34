import { buildSchema, graphql } from 'graphql';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** GraphQL over HTTP as a first afternoon has it: no limits, and errors as they come. What the table of attacks finds in it. */
export async function startNaive(): Promise<{ url: string; close: () => Promise<void> }> {
  const schema = buildSchema(
    'type Query { me: Person people(first: Int!): [Person] } type Person { id: ID name: String friends: [Person] }',
  );
  const person = { id: '1', name: 'one', friends: [] };
  const root = { me: person, people: ({ first }: { first: number }) => Array.from({ length: first }, () => person) };
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      Promise.resolve()
        .then(() => {
          const { query, variables } = JSON.parse(body) as { query: string; variables?: Record<string, unknown> };
          return graphql({ schema, source: query, rootValue: root, variableValues: variables ?? {} });
        })
        .then(
          (result) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result)),
          (error: Error) =>
            response.writeHead(500, { 'content-type': 'text/html' }).end(`<html><pre>${error.stack}</pre></html>`),
        );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
