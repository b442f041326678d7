// What a program with ioredis sees.
//
// usage: ioredis.js PORT PORT_OF_TUTORIAL PORT_WITH_PASSWORDS
'use strict';

const { randomUUID } = require('crypto');
const { Redis } = require('ioredis');
const { ok, equal, plain, fromPairs, failure, until, run } = require('./checks');

const [port, tutorialPort, passwordPort] = process.argv.slice(2).map(Number);
const errors = [];

function connect(options = {}) {
    const client = new Redis({ host: 'localhost', port, maxRetriesPerRequest: 1, ...options });
    client.on('error', (error) => errors.push(error));
    return client;
}

// Maps are objects or lists of keys and values, as the version and the protocol have it.
function map(value) {
    return Array.isArray(value) ? fromPairs(value) : plain(value);
}

async function checkCommands(options) {
    const label = options.protocol === 2 ? 'RESP2' : 'RESP3';
    const client = connect(options);
    await new Promise((ready) => { client.once('ready', ready); client.once('close', ready); });
    equal(client.status, 'ready', `${label}: it is ready, so INFO was answered`);
    equal(await client.ping(), 'PONG', `${label}: PING`);
    const id = `order-${randomUUID()}`;
    equal(map(await client.call('EAPPEND', id, 'OrderCreated', 'PAYLOAD', '{"a": 1}')).stream_version, 0, `${label}: EAPPEND`);
    const conflict = await failure(client.call('EAPPEND', id, 'X', 'EXPECTED_VERSION', 'empty'));
    ok(/^WRONGVER .*wrong expected version; WRONG_EXPECTED_VERSION/.test(conflict), `${label}: a conflict`, conflict);
    const page = map(await client.call('ESCAN', id, '-', '+'));
    ok(page.has_more === false || page.has_more === 0, `${label}: ESCAN`, page);
    equal(map(page.events[0]).payload, '{"a": 1}', `${label}: the event`);
    equal(await client.call('ESVER', `x-${randomUUID()}`), null, `${label}: ESVER of no stream`);
    const many = await client.pipeline(Array.from({ length: 100 }, () => ['call', 'EAPPEND', id, 'E'])).exec();
    equal(many.map(([error, answer]) => [error, map(answer).stream_version]), Array.from({ length: 100 }, (_, n) => [null, n + 1]), `${label}: a pipeline`);
    const subscription = await client.call('ESUB', id).catch((error) => String(error));
    ok((options.protocol === 2 ? /subscriptions need RESP3/ : /^[0-9a-f-]{36}$/).test(subscription), `${label}: ESUB`, subscription);
    await client.call('EAPPEND', id, 'E');
    equal(await client.ping(), 'PONG', `${label}: the connection continues`);
    client.disconnect();
}

async function checkPubSub() {
    const [client, listener] = [connect(), connect()];
    const kind = `cart${randomUUID().slice(0, 8)}`;
    const found = [];
    listener.on('pmessage', (pattern, channel, text) => found.push([pattern, channel, JSON.parse(text).event_name]));
    await listener.psubscribe(`${kind}-*`);
    await client.call('EAPPEND', `${kind}-1`, 'Filled');
    await until(() => found.length >= 1);
    equal(found, [[`${kind}-*`, `${kind}-1`, 'Filled']], 'psubscribe');
    client.disconnect();
    listener.disconnect();
}

async function checkOptions() {
    const user = connect({ port: passwordPort, username: 'ada', password: 'secret' });
    equal(await user.ping(), 'PONG', 'user and password');
    user.disconnect();
    const stranger = connect({ port: passwordPort, username: 'ada', password: 'wrong', retryStrategy: null });
    const refused = await failure(stranger.call('ESVER', 'x'));
    const heard = [refused, ...errors.map((error) => error.message)].join(' ');
    ok(refused !== undefined && /WRONGPASS|NOAUTH|Connection is closed/.test(heard), 'a wrong password', heard);
    stranger.disconnect();
    const client = connect({ port: tutorialPort });
    equal(await client.call('EAPPEND', `t-${randomUUID()}`, 'A'), 1, 'the tutorial dialect');
    client.disconnect();
    const other = connect({ db: 1 });
    equal(await other.call('EAPPEND', `t-${randomUUID()}`, 'A'), 1, 'by its number');
    other.disconnect();
}

async function checkErrors() {
    equal(errors.filter((error) => !/WRONGPASS|NOAUTH|invalid username-password/.test(error.message)).map(String), [], 'no client has raised an error event');
}

run(async function checkResp3() { await checkCommands({}); }, async function checkResp2() { await checkCommands({ protocol: 2 }); },
    checkPubSub, checkOptions, checkErrors);
