/**
 * The floor: a plain Node server that makes the 7 calls of the native plan in its waves with undici, parses, assembles by
 * hand and writes with JSON.stringify. No planning, no validation, no nulls, no errors: what must be done at the least.
 */
import { createServer } from 'node:http';
import { Pool } from 'undici';

const pool = new Pool(process.env.SUBGRAPHS, { connections: 64, pipelining: 1 });
const forward = process.env.FORWARD === 'authorization';

async function call(name, query, variables, authorization) {
  const { body } = await pool.request({
    path: `/${name}`,
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(forward && authorization ? { authorization } : {}) },
    body: JSON.stringify({ query, variables }),
  });
  return (await body.json()).data;
}

const representations = (type, key, items) => {
  const distinct = new Map();
  for (const item of items) if (!distinct.has(item[key])) distinct.set(item[key], item);
  return {
    keys: [...distinct.keys()],
    items: [...distinct.values()],
    list: [...distinct.keys()].map((value) => ({ __typename: type, [key]: value })),
  };
};
const join = (key, keys, entities, items) => {
  const by = new Map(keys.map((value, i) => [value, entities[i]]));
  for (const item of items) Object.assign(item, by.get(item[key]));
};

const REVIEWS = `reviews{id body product{upc reviews{id body author{id username reviews{id body product{upc}}}}}}`;
const TOP = `reviews{id body author{id username reviews{id body product{upc}}}}`;

async function page(authorization) {
  const [{ users }, { topProducts }] = await Promise.all([
    call('accounts', '{users{id username name}}', undefined, authorization),
    call('products', '{topProducts(first:5){upc name price weight}}', undefined, authorization),
  ]);
  const u = representations('User', 'id', users);
  const t = representations('Product', 'upc', topProducts);
  const first = await call(
    'reviews',
    `query($u:[_Any!]!,$t:[_Any!]!){_e0:_entities(representations:$u){...on User{${REVIEWS}}}_e1:_entities(representations:$t){...on Product{${TOP}}}}`,
    { u: u.list, t: t.list },
    authorization,
  );
  join('id', u.keys, first._e0, users);
  join('upc', t.keys, first._e1, topProducts);
  const outer = users.flatMap((user) => user.reviews.map((review) => review.product));
  const inner = outer.flatMap((product) => product.reviews.map((review) => review.author));
  const topAuthors = topProducts.flatMap((product) => product.reviews.map((review) => review.author));
  const authors = [...inner, ...topAuthors];
  const deep = authors.flatMap((author) => author.reviews.map((review) => review.product));
  const a = representations('User', 'id', authors);
  const p = representations('Product', 'upc', [...outer, ...deep]);
  const [names, goods] = await Promise.all([
    call(
      'accounts',
      'query($r:[_Any!]!){_entities(representations:$r){...on User{name}}}',
      { r: a.list },
      authorization,
    ),
    call(
      'products',
      'query($r:[_Any!]!){_entities(representations:$r){...on Product{name price weight}}}',
      { r: p.list },
      authorization,
    ),
  ]);
  join('id', a.keys, names._entities, authors);
  join('upc', p.keys, goods._entities, [...outer, ...deep]);
  const ask = async (items) => {
    const s = representations('Product', 'upc', items);
    const list = s.items.map(({ upc, price, weight }) => ({ __typename: 'Product', upc, price, weight }));
    const { _entities } = await call(
      'inventory',
      'query($r:[_Any!]!){_entities(representations:$r){...on Product{inStock shippingEstimate}}}',
      { r: list },
      authorization,
    );
    join('upc', s.keys, _entities, items);
  };
  await Promise.all([ask(topProducts), ask([...outer, ...deep])]);
  return { users, topProducts };
}

async function catalog(query, authorization) {
  const first = /first: (\d+)/.exec(query)[1];
  const list = await call('products', `{catalog(first:${first}){upc name price weight}}`, undefined, authorization);
  const goods = list.catalog;
  const r = goods.map(({ upc, price, weight }) => ({ __typename: 'Product', upc, price, weight }));
  const { _entities } = await call(
    'inventory',
    'query($r:[_Any!]!){_entities(representations:$r){...on Product{inStock shippingEstimate}}}',
    { r },
    authorization,
  );
  for (let i = 0; i < goods.length; i += 1) {
    Object.assign(goods[i], _entities[i]);
    delete goods[i].__typename;
  }
  return { catalog: goods };
}

async function chain(authorization) {
  const { chain: first } = await call('accounts', '{chain{__typename id}}', undefined, authorization);
  let step = first;
  const data = {};
  let inner = (data.chain = {});
  for (const [name, field] of [
    ['reviews', 'right'],
    ['accounts', 'left'],
    ['reviews', 'right'],
    ['accounts', 'left'],
    ['reviews', 'right'],
    ['accounts', 'left'],
    ['reviews', 'right'],
  ]) {
    const { _entities } = await call(
      name,
      `query($r:[_Any!]!){_entities(representations:$r){...on Step{${field}{__typename id}}}}`,
      { r: [step] },
      authorization,
    );
    step = _entities[0][field];
    inner = inner[field] = {};
  }
  inner.id = step.id;
  return data;
}

function answer(query, authorization) {
  if (query.includes('topProducts')) return page(authorization);
  if (query.includes('catalog')) return catalog(query, authorization);
  if (query.includes('chain')) return chain(authorization);
  return call('accounts', query, undefined, authorization);
}

createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    const { query } = JSON.parse(Buffer.concat(chunks).toString());
    const data = await answer(query, request.headers.authorization);
    const text = JSON.stringify({ data });
    response.writeHead(200, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(text),
    });
    response.end(text);
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
