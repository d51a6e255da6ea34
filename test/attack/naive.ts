import { buildSchema, graphql } from 'graphql';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';

/** What a naive cache goes by is what is asked, and not who asks: `keeps` answers for ever, or only while they are on their way. */
export async function startNaiveCache(
  behind: string,
  keeps: 'answers' | 'calls',
): Promise<{ url: string; close: () => void }> {
  const answers = new Map<string, Promise<string>>();
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      let answer = answers.get(body);
      if (!answer) {
        const { authorization = '' } = request.headers;
        const headers = { 'content-type': 'application/json', ...(authorization === '' ? {} : { authorization }) };
        answer = fetch(behind, { method: 'POST', headers, body }).then((one) => one.text());
        answers.set(body, answer);
        if (keeps === 'calls') void answer.finally(() => answers.delete(body));
      }
      void answer.then((text) => response.writeHead(200, JSON_TYPE).end(text));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`,
    close: () => server.close().closeAllConnections(),
  };
}

const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' };

/** GraphQL over HTTP as a first afternoon has it: no limits, and errors as they come, late. What the table of attacks finds in it. */
export async function startNaive({ waitMs = 0 } = {}): Promise<{ url: string; close: () => Promise<void> }> {
  const schema = buildSchema(
    'type Query { me: Person people(first: Int!): [Person] } type Person { id: ID name: String friends: [Person] }',
  );
  const person = { id: '1', name: 'one', friends: [] };
  const root = { me: person, people: ({ first }: { first: number }) => Array.from({ length: first }, () => person) };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      delay(waitMs)
        .then(() => {
          const sent = Buffer.concat(chunks);
          const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
          const { query, variables } = JSON.parse(body.toString()) as {
            query: string;
            variables?: Record<string, unknown>;
          };
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
