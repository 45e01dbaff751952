// The vendor's Integration SDK against the Sharetribe sandbox. It speaks Transit alone, so this shows that half of it.
'use strict';

const sharetribe = require('sharetribe-flex-integration-sdk');
const { assert, check, control, refusal, run } = require('./checks.cjs');

const { UUID, Money, LatLng } = sharetribe.types;
const { URL: baseUrl, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret } = process.env;
const ask = control(baseUrl);
const tokenStore = sharetribe.tokenStore.memoryStore();
const sdk = sharetribe.createInstance({ clientId, clientSecret, baseUrl, tokenStore });
const verbose = sharetribe.createInstance({ clientId, clientSecret, baseUrl, transitVerbose: true });

const started = new Date(Date.now() - 1000);
const STOCK = 10;
let id;
let mark;

const minutesFromNow = (minutes) => new Date(Date.now() + minutes * 60_000);
const ofListing = async (query = {}) =>
  (await sdk.stockAdjustments.query({ listingId: id, start: started, end: minutesFromNow(5), ...query })).data.data;
const shown = async (client = sdk) => (await client.listings.show({ id, include: ['currentStock'] })).data;
const codeOf = async (call, status) => {
  const reason = await refusal(call);
  assert.equal(reason.status, status);
  return reason.data.errors[0].code;
};

check('marketplace.show: 200 and a marketplace', async () => {
  const { status, data } = await sdk.marketplace.show();
  assert.equal(status, 200);
  assert.equal(data.data.type, 'marketplace');
  assert.ok(data.data.id instanceof UUID);
});

check('listings.create: money, place and nested data come back as they were sent', async () => {
  const { provider_id: authorId } = await ask('state?adjustments=false');
  const privateData = { sku: 'A-1', nested: { sku: 'A-2', list: [{ sku: '~A-3' }, '^A-4', '`A-5', null, true, 1.5] } };
  const { data } = await sdk.listings.create(
    {
      title: 'Mug',
      authorId: new UUID(authorId),
      state: 'published',
      price: new Money(1590, 'USD'),
      geolocation: new LatLng(40.6, -74),
      publicData: { sku: 'MUG', privateData: 'a key that came before' },
      privateData,
    },
    { expand: true }
  );
  const { attributes } = data.data;
  assert.ok(attributes.price instanceof Money);
  assert.deepEqual({ ...attributes.price }, { ...new Money(1590, 'USD') });
  assert.ok(attributes.geolocation instanceof LatLng);
  assert.deepEqual({ ...attributes.geolocation }, { ...new LatLng(40.6, -74) });
  assert.deepEqual(attributes.privateData, privateData);
  assert.equal(attributes.publicData.privateData, 'a key that came before');
  assert.equal(attributes.state, 'published');
  id = data.data.id;
});

check('stock.compareAndSet: from null defines the stock', async () => {
  const { data } = await sdk.stock.compareAndSet({ listingId: id, oldTotal: null, newTotal: STOCK });
  assert.deepEqual(Object.keys(data.data).sort(), ['id', 'type']);
  ({ last_sequence: mark } = await ask('state?adjustments=false'));
});

check('listings.show: a UUID, the stock, a Date and Money', async () => {
  const { data, included } = await shown();
  assert.ok(data.id instanceof UUID);
  assert.equal(data.id.uuid, id.uuid);
  assert.equal(included[0].type, 'stock');
  assert.equal(included[0].attributes.quantity, STOCK);
  assert.equal(data.relationships.currentStock.data.id.uuid, included[0].id.uuid);
  assert.ok(data.attributes.createdAt instanceof Date);
  assert.ok(Math.abs(data.attributes.createdAt - Date.now()) < 60_000);
  assert.ok(data.attributes.price instanceof Money);
});

check('stock.compareAndSet: takes one unit, and expand shows what is left', async () => {
  const { data } = await sdk.stock.compareAndSet(
    { listingId: id, oldTotal: STOCK, newTotal: STOCK - 1 },
    { expand: true }
  );
  assert.equal(data.data.attributes.quantity, STOCK - 1);
});

check('stock.compareAndSet: the same once more is an old-total-mismatch', async () => {
  const reason = await refusal(sdk.stock.compareAndSet({ listingId: id, oldTotal: STOCK, newTotal: STOCK - 1 }));
  assert.equal(reason.status, 409);
  assert.equal(reason.data.errors[0].code, 'old-total-mismatch');
  assert.equal(reason.data.errors[0].status, 409);
});

check('stock.compareAndSet: an equal total is answered 200 and leaves no trace', async () => {
  const before = (await ofListing()).length;
  const { status } = await sdk.stock.compareAndSet({ listingId: id, oldTotal: STOCK - 1, newTotal: STOCK - 1 });
  assert.equal(status, 200);
  assert.equal((await ofListing()).length, before);
});

check('stockAdjustments.query: exactly one -1 since the test began', async () => {
  const adjustments = await ofListing();
  assert.deepEqual(adjustments.map(({ attributes }) => attributes.quantity).sort((a, b) => a - b), [-1, STOCK]);
  assert.ok(adjustments.every(({ attributes }) => attributes.at instanceof Date));
});

check('events.query: one event, by our own client id, after the mark', async () => {
  const { data } = await sdk.events.query({ startAfterSequenceId: mark, eventTypes: 'stockAdjustment' });
  assert.equal(data.data.length, 1);
  const [{ attributes }] = data.data;
  assert.equal(attributes.auditData.clientId.uuid, clientId);
  assert.ok(attributes.sequenceId > mark);
  assert.equal(attributes.eventType, 'stockAdjustment/created');
  assert.equal(attributes.resource.attributes.quantity, -1);
  assert.ok(attributes.resource.attributes.at instanceof Date);
  assert.equal(attributes.resource.relationships.listing.data.id.uuid, id.uuid);
  assert.equal(data.meta.paginationUnsupported, true);
});

check('listings.query: sparse fields and a minimum of stock', async () => {
  const { data } = await sdk.listings.query({ ids: [id], 'fields.listing': ['title'], minStock: 1 });
  assert.deepEqual(data.data.map(({ attributes }) => attributes), [{ title: 'Mug' }]);
  assert.deepEqual(data.meta, { totalItems: 1, totalPages: 1, page: 1, perPage: 100, paginationLimit: 100 });
});

check('an expired access token is renewed unseen', async () => {
  await ask('tokens/expire', {});
  assert.equal((await shown()).included[0].attributes.quantity, STOCK - 1);
});

check('an expired refresh token is replaced by the secret, and a command runs once', async () => {
  await ask('tokens/expire', { refresh_tokens: true });
  await sdk.stockAdjustments.create({ listingId: id, quantity: 1 });
  assert.equal((await shown()).included[0].attributes.quantity, STOCK);
});

check('429: rejected with too-many-requests', async () => {
  await ask('faults', { operation: 'listings/show', kind: 'too_many_requests' });
  assert.equal(await codeOf(shown(), 429), 'too-many-requests');
});

check('502 with an HTML page: rejected with its status', async () => {
  await ask('faults', { operation: 'listings/show', kind: 'bad_gateway' });
  assert.equal((await refusal(shown())).status, 502);
});

check('a broken connection: rejected without a status', async () => {
  await ask('faults', { operation: 'listings/show', kind: 'drop_before' });
  const reason = await refusal(shown());
  assert.equal(reason.status, undefined);
  assert.equal(reason.code, 'ECONNRESET');
});

check('missing things: 404 on a read, 409 on a command', async () => {
  const missing = new UUID('00000000-0000-4000-8000-000000000000');
  assert.equal(await codeOf(sdk.listings.show({ id: missing }), 404), 'not-found');
  const command = sdk.stock.compareAndSet({ listingId: missing, oldTotal: null, newTotal: 1 });
  assert.equal(await codeOf(command, 409), 'listing-not-found');
});

check('an unknown key is refused, by its path', async () => {
  const reason = await refusal(sdk.listings.close({ id, reason: 'sold out' }));
  assert.equal(reason.status, 400);
  assert.equal(reason.data.errors[0].code, 'validation-disallowed-key');
  assert.deepEqual(reason.data.errors[0].source, { path: ['reason'], type: 'body' });
});

check('listings.update, close and open', async () => {
  const { data } = await sdk.listings.update({ id, metadata: { externalSku: 'X' } }, { expand: true });
  assert.deepEqual(data.data.attributes.metadata, { externalSku: 'X' });
  assert.equal((await sdk.listings.close({ id }, { expand: true })).data.data.attributes.state, 'closed');
  assert.equal((await sdk.listings.open({ id }, { expand: true })).data.data.attributes.state, 'published');
});

check('transactions: a purchase, its reservation, and its way through the ledger', async () => {
  const purchase = await ask('purchases', { listing_id: id.uuid, quantity: 2 });
  await ask(`purchases/${purchase.id}/pay`, {});
  const query = { listingId: id, stockReservationStates: ['accepted'], include: ['listing', 'stockReservation'] };
  const { data } = await sdk.transactions.query(query);
  assert.deepEqual(data.data.map((each) => each.id.uuid), [purchase.id]);
  const [{ attributes, relationships }] = data.data;
  assert.equal(attributes.lastTransition, 'transition/confirm-payment');
  assert.ok(attributes.lastTransitionedAt instanceof Date);
  assert.ok(attributes.transitions.every(({ createdAt }) => createdAt instanceof Date));
  const reservation = await sdk.stockReservations.show({
    id: relationships.stockReservation.data.id,
    include: ['transaction', 'stockAdjustments'],
  });
  assert.deepEqual(reservation.data.data.attributes, { quantity: 2, state: 'accepted' });
  const included = (type) => reservation.data.included.filter((each) => each.type === type);
  assert.equal(included('transaction')[0].id.uuid, purchase.id);
  assert.deepEqual(included('stockAdjustment').map((each) => each.attributes.quantity), [-2]);
  const caused = (await ofListing({ include: ['stockReservation'] })).filter(
    (each) => each.relationships.stockReservation.data
  );
  assert.deepEqual(caused.map((each) => each.attributes.quantity), [-2]);
});

check('transactions.transition: the operator cancels, and the units come back', async () => {
  const { data } = await sdk.transactions.query({ listingId: id });
  const cancelled = await sdk.transactions.transition(
    { id: data.data[0].id, transition: 'transition/cancel', params: {} },
    { expand: true }
  );
  assert.equal(cancelled.data.data.attributes.state, 'state/canceled');
  assert.equal((await shown()).included[0].attributes.quantity, STOCK);
  const again = sdk.transactions.transition({ id: data.data[0].id, transition: 'transition/cancel', params: {} });
  assert.equal(await codeOf(again, 409), 'transaction-invalid-transition');
});

check('events.query: stock events come before the transition that caused them', async () => {
  const { data } = await sdk.events.query({
    startAfterSequenceId: mark,
    eventTypes: ['stockReservation', 'transaction/initiated'],
  });
  const types = data.data.map(({ attributes }) => attributes.eventType);
  assert.deepEqual(types.slice(0, 2), ['stockReservation/created', 'transaction/initiated']);
  const sequences = data.data.map(({ attributes }) => attributes.sequenceId);
  assert.deepEqual(sequences, [...sequences].sort((a, b) => a - b));
});

check('users.show: the author of a listing', async () => {
  const { data } = await sdk.listings.show({ id, include: ['author'] });
  const author = await sdk.users.show({ id: data.data.relationships.author.data.id });
  assert.equal(author.data.data.attributes.profile.displayName, 'Provider');
});

check('the verbose form is understood', async () => {
  const privateData = { place: new LatLng(1, 2), worth: new Money(5, 'EUR'), plain: ['~a', { b: null }] };
  await verbose.listings.update({ id, privateData });
  const { data } = await verbose.listings.show({ id });
  assert.deepEqual(data.data.attributes.privateData.plain, ['~a', { b: null }]);
  assert.equal((await shown(verbose)).included[0].attributes.quantity, STOCK);
});

check('a body with more names than the cache holds is read right', async () => {
  const many = Object.fromEntries(Array.from({ length: 2100 }, (_, number) => [`key-${number}`, number]));
  const privateData = { first: many, second: many };
  const { data } = await sdk.listings.update({ id, privateData }, { expand: true });
  assert.deepEqual(data.data.attributes.privateData.first, many);
  assert.deepEqual(data.data.attributes.privateData.second, many);
});

check('numbers that a JavaScript number cannot hold come whole', async () => {
  const total = '9007199254740993';
  const made = `{"listings":[{"title":"Endless","stock":${total}}]}`;
  const response = await fetch(`${baseUrl}/_control/listings`, { method: 'POST', body: made });
  const [{ id: endless }] = (await response.json()).listings;
  const { data } = await sdk.listings.show({ id: endless, include: ['currentStock'] });
  assert.equal(String(data.included[0].attributes.quantity), total);
});

check('revoke: the old refresh token is refused', async () => {
  const { refresh_token: old } = tokenStore.getToken();
  assert.ok(old);
  await sdk.revoke();
  const response = await fetch(`${baseUrl}/v1/auth/token`, {
    method: 'POST',
    body: new URLSearchParams({ client_id: clientId, grant_type: 'refresh_token', refresh_token: old }),
  });
  assert.equal(response.status, 401);
});

check('wrong credentials: rejected with 401', async () => {
  const stranger = sharetribe.createInstance({ clientId, clientSecret: 'wrong', baseUrl });
  assert.equal((await refusal(stranger.marketplace.show())).status, 401);
});

run();
