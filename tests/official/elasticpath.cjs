// The vendor's JavaScript client against the Elastic Path sandbox: both flavours of inventory, orders, integrations.
'use strict';

const { gateway, MemoryStorageFactory } = require('@elasticpath/js-sdk');
const { assert, check, control, refusal, run } = require('./checks.cjs');

const { URL: baseUrl, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret } = process.env;
const ask = control(baseUrl);
const store = gateway({
  client_id: clientId,
  client_secret: clientSecret,
  host: new URL(baseUrl).host,
  protocol: 'http',
  storage: new MemoryStorageFactory(),
  retryDelay: 10,
  retryJitter: 5,
  fetchMaxAttempts: 3,
});
const { Inventories, MultiLocationInventories, Orders, Integrations } = store;

let mug;
let cup;
let order;

const stockOf = ({ total, available, allocated }) => [total, available, allocated];
const statusOf = async (call) => Number((await refusal(call)).errors[0].status);

check('a token is fetched, and products are listed', async () => {
  const products = [{ stock: 10, sku: 'MUG' }, { sku: 'CUP' }];
  [mug, cup] = (await ask('products', { products })).products.map(({ id }) => id);
  const { data } = await store.PCM.All();
  assert.deepEqual(data.map(({ attributes }) => attributes.sku).sort(), ['CUP', 'MUG']);
  assert.ok(data.every(({ type, attributes }) => type === 'product' && attributes.status === 'live'));
});

check('Inventories.Get: total, available and allocated', async () => {
  const { data } = await Inventories.Get(mug);
  assert.equal(data.type, 'stock');
  assert.deepEqual(stockOf(data), [10, 10, 0]);
});

check('Inventories.Create: stock is managed from then on', async () => {
  assert.equal(await statusOf(Inventories.Get(cup)), 404);
  await Inventories.Create(cup, 5);
  assert.deepEqual(stockOf((await Inventories.Get(cup)).data), [5, 5, 0]);
});

check('Inventories: increment, decrement, allocate and deallocate', async () => {
  await Inventories.IncrementStock(mug, 2);
  await Inventories.DecrementStock(mug, 3);
  assert.deepEqual(stockOf((await Inventories.Get(mug)).data), [9, 9, 0]);
  await Inventories.AllocateStock(mug, 2);
  assert.deepEqual(stockOf((await Inventories.Get(mug)).data), [9, 7, 2]);
  await Inventories.DeallocateStock(mug, 1);
  assert.deepEqual(stockOf((await Inventories.Get(mug)).data), [9, 8, 1]);
  await Inventories.DeallocateStock(mug, 1);
});

check('Inventories.GetTransactions and GetTransaction: each with its action and quantity', async () => {
  const { data } = await Inventories.GetTransactions(mug);
  assert.deepEqual(
    data.map(({ action, quantity }) => `${action} ${quantity}`),
    ['create 10', 'increment 2', 'decrement 3', 'allocate 2', 'deallocate 1', 'deallocate 1']
  );
  assert.deepEqual((await Inventories.GetTransaction(mug, data[1].id)).data, data[1]);
});

check('Inventories.DecrementStock: more than there is is refused', async () => {
  assert.equal(await statusOf(Inventories.DecrementStock(mug, 100)), 422);
  assert.deepEqual(stockOf((await Inventories.Get(mug)).data), [9, 9, 0]);
});

check('Inventories.GetMultipleStock: several products at once', async () => {
  const { data } = await Inventories.GetMultipleStock([mug, cup]);
  assert.deepEqual(data.map(({ id, available }) => [id, available]).sort(), [[mug, 9], [cup, 5]].sort());
});

check('Inventories.Delete: stock is managed no more', async () => {
  await Inventories.Delete(cup);
  assert.equal(await statusOf(Inventories.Get(cup)), 404);
});

check('MultiLocationInventories.Get: the same stock in the other flavour', async () => {
  const { data } = await MultiLocationInventories.Get(mug);
  assert.deepEqual(stockOf(data.attributes), [9, 9, 0]);
});

check('MultiLocationInventories.Locations: created and listed', async () => {
  const { data } = await MultiLocationInventories.Locations.Create({ name: 'York', slug: 'york' });
  assert.equal(data.attributes.slug, 'york');
  const listed = await MultiLocationInventories.Locations.All();
  assert.deepEqual(listed.data.map(({ attributes }) => attributes.slug), ['york']);
});

check('MultiLocationInventories: stock at a location, moved there', async () => {
  await MultiLocationInventories.Create({ locations: { york: { available: 7 } } }, cup);
  await MultiLocationInventories.IncrementStock(cup, 2, 'york');
  const { data } = await MultiLocationInventories.Get(cup);
  assert.deepEqual(stockOf(data.attributes.locations.york), [9, 9, 0]);
  const last = (await MultiLocationInventories.GetTransactions(cup)).data.at(-1).attributes;
  assert.deepEqual([last.action, last.quantity, last.location], ['increment', 2, 'york']);
});

check('Orders.All: filtered by their change, sorted, with their items', async () => {
  await ask('orders', { orders: [{ items: [{ sku: 'MUG', quantity: 2 }] }] });
  const { data, included } = await Orders.With(['items'])
    .Filter({ ge: { updated_at: '2020-01-01T00:00:00.000Z' } })
    .Sort('created_at')
    .Limit(100)
    .All();
  assert.equal(data.length, 1);
  [order] = data;
  assert.deepEqual([order.status, order.payment, order.shipping], ['complete', 'paid', 'unfulfilled']);
  assert.deepEqual(order.relationships.items.data.map(({ id }) => id), included.items.map(({ id }) => id));
});

check('Orders.All: none changed in the future', async () => {
  const { data } = await Orders.Filter({ ge: { updated_at: '2100-01-01T00:00:00.000Z' } }).All();
  assert.deepEqual(data, []);
});

check('Orders.Get and Orders.Items: one order with what it sold', async () => {
  assert.equal((await Orders.Get(order.id)).data.id, order.id);
  const [item] = (await Orders.Items(order.id)).data;
  assert.deepEqual([item.product_id, item.sku, item.quantity], [mug, 'MUG', 2]);
  assert.equal(await statusOf(Orders.Get('00000000-0000-4000-8000-000000000000')), 404);
});

check('a paid order holds its units', async () => {
  assert.deepEqual(stockOf((await Inventories.Get(mug)).data), [9, 7, 2]);
});

check('Integrations: a webhook is created and listed', async () => {
  const configuration = { url: 'http://127.0.0.1:9/hooks', secret_key: 'a-secret-of-the-test' };
  const observes = ['order.paid'];
  const made = await Integrations.Create({
    type: 'integration',
    name: 'test',
    enabled: false,
    observes,
    integration_type: 'webhook',
    configuration,
  });
  const { data } = await Integrations.All();
  assert.deepEqual(data.map((each) => [each.id, each.observes, each.configuration.url]), [
    [made.data.id, observes, configuration.url],
  ]);
});

check('an expired token is renewed unseen', async () => {
  await ask('tokens/expire', {});
  assert.deepEqual(stockOf((await Inventories.Get(mug)).data), [9, 7, 2]);
});

check('429: waited out and tried again', async () => {
  await ask('faults', { operation: 'inventories/show', kind: 'too_many_requests' });
  assert.deepEqual(stockOf((await Inventories.Get(mug)).data), [9, 7, 2]);
  const { struck } = await ask('faults');
  assert.equal(struck['inventories/show'].too_many_requests, 1);
});

run();
