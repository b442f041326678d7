// What a program with node-redis sees, version 4 or 5.
//
// usage: redis.js PORT PORT_OF_TUTORIAL PORT_WITH_PASSWORDS
'use strict';

const { randomUUID } = require('crypto');
const redis = require('redis');
const { ok, equal, plain, fromPairs, failure, until, run } = require('./checks');

const [port, tutorialPort, passwordPort] = process.argv.slice(2).map(Number);
const { version } = require('@redis/client/package.json');
const release = version.startsWith('1.') ? 4 : 5;
const keys = ['event_id', 'partition_key', 'partition_id', 'partition_sequence', 'stream_version', 'timestamp'];
const errors = [];
const clients = [];

async function connect(options = {}) {
    const client = redis.createClient({ socket: { host: 'localhost', port: options.port || port, reconnectStrategy: false }, ...options });
    client.on('error', (error) => errors.push(error));
    await client.connect();
    clients.push(client);
    return client;
}

function stream(kind = 'stream') {
    return `${kind}-${randomUUID()}`;
}

async function checkResp3() {
    const client = await connect({ RESP: 3, name: 'shop', database: 0 });
    equal(await client.ping(), 'PONG', 'PING');
    const id = stream('order');
    const first = plain(await client.sendCommand(['EAPPEND', id, 'OrderCreated', 'PAYLOAD', '{"a": 1}']));
    equal(Object.keys(first), keys, 'EAPPEND answers a map');
    equal(first.stream_version, 0, 'the first version is 0');
    equal((await failure(client.sendCommand(['EAPPEND', id, 'X', 'EXPECTED_VERSION', 'empty']))).split(' ')[0], 'WRONGVER', 'a conflict');
    const page = plain(await client.sendCommand(['ESCAN', id, '-', '+']));
    equal(page.has_more, false, 'ESCAN answers a boolean');
    equal([page.events[0].event_name, page.events[0].payload, page.events[0].metadata], ['OrderCreated', '{"a": 1}', ''], 'and the event');
    equal(await client.sendCommand(['ESVER', id]), 0, 'ESVER');
    equal(await client.sendCommand(['ESVER', stream()]), null, 'ESVER of no stream');
    const versions = await Promise.all(Array.from({ length: 100 }, async () => plain(await client.sendCommand(['EAPPEND', id, 'E'])).stream_version));
    equal(versions, Array.from({ length: 100 }, (_, n) => n + 1), '100 appends at once are answered in their order');
    const subscription = await client.sendCommand(['ESUB', id, 'FROM', 'LATEST']);
    ok(/^[0-9a-f-]{36}$/.test(subscription), 'ESUB answers an id', subscription);
    await client.sendCommand(['EAPPEND', id, 'E']);
    equal(await client.ping(), 'PONG', 'pushes do not end the connection');
    equal(await client.sendCommand(['EACK', subscription, '0']), 'OK', 'EACK');
}

async function checkResp2() {
    const client = await connect();
    equal(await client.ping(), 'PONG', 'the default protocol: PING');
    const id = stream('order');
    const first = await client.sendCommand(['EAPPEND', id, 'OrderCreated', 'PAYLOAD', '{"a": 1}']);
    equal(Object.keys(fromPairs(first)), keys, 'EAPPEND answers a list of keys and values');
    const page = fromPairs(await client.sendCommand(['ESCAN', id, '-', '+']));
    equal(page.has_more, 0, 'ESCAN answers a number');
    equal(fromPairs(page.events[0]).payload, '{"a": 1}', 'and the event');
    equal(await client.sendCommand(['ESVER', stream()]), null, 'ESVER of no stream');
    const refused = await failure(client.sendCommand(['ESUB', id]));
    ok(/subscriptions need RESP3/.test(refused), 'ESUB is refused', refused);
    equal(await client.ping(), 'PONG', 'and the connection continues');
    if (release === 4) {
        const other = await connect({ RESP: 3 });
        ok(Array.isArray(await other.sendCommand(['EAPPEND', id, 'E'])), 'node-redis 4 ignores RESP: 3');
    }
}

async function checkPasswords() {
    const user = { username: 'ada', password: 'secret', port: passwordPort };
    for (const RESP of release === 5 ? [2, 3] : [2]) {
        equal(await (await connect({ ...user, RESP })).ping(), 'PONG', `user and password, RESP${RESP}`);
        const refused = await failure(connect({ ...user, RESP, password: 'wrong' }));
        ok(/WRONGPASS|invalid username-password/.test(refused), `a wrong password, RESP${RESP}`, refused);
    }
    const stranger = await failure(connect({ port: passwordPort }).then((client) => client.sendCommand(['ESVER', 'x'])));
    ok(/NOAUTH/.test(stranger), 'no password', stranger);
}

async function checkPubSub(RESP) {
    const kind = `cart${randomUUID().slice(0, 8)}`;
    const [client, listener] = [await connect(), await connect({ RESP })];
    const found = [];
    const id = stream(kind);
    await listener.pSubscribe(`${kind}-*`, (text, channel) => found.push(['pattern', JSON.parse(text).event_name, channel]));
    await listener.subscribe(id, (text, channel) => found.push(['stream', JSON.parse(text).event_name, channel]));
    await client.sendCommand(['EAPPEND', id, 'Filled', 'PAYLOAD', '{"n":1}']);
    await until(() => found.length >= 2);
    equal(found.sort(), [['pattern', 'Filled', id], ['stream', 'Filled', id]], `RESP${RESP}: pSubscribe and subscribe`);
    await listener.pUnsubscribe(`${kind}-*`);
    await listener.unsubscribe(id);
    equal(String(await listener.ping()), 'PONG', `RESP${RESP}: unsubscribed`);
}

async function checkTutorial() {
    for (const [how, options] of [['listener', { port: tutorialPort }], ['database 1', { database: 1 }]]) {
        const client = await connect({ ...options, RESP: release === 5 ? 3 : undefined });
        const id = stream();
        equal(await client.sendCommand(['EAPPEND', id, 'A', 'PAYLOAD', '{}']), 1, `tutorial by ${how}: EAPPEND`);
        equal(await client.sendCommand(['ESVER', id]), 1, 'ESVER');
        equal((await client.sendCommand(['ESCAN', id, '-', '+']))[0].slice(1, 4), ['A', id, 1], 'ESCAN');
    }
}

async function checkErrors() {
    equal(errors.filter((error) => !/WRONGPASS|NOAUTH|invalid username-password/.test(error.message)).map(String), [], 'no client has raised an error event');
    await Promise.all(clients.map((client) => client.disconnect().catch(() => {})));
}

async function checkPubSub3() { await checkPubSub(3); }

async function checkPubSub2() { await checkPubSub(2); }

const resp3 = release === 5 ? [checkResp3, checkPubSub3] : [];
run(...resp3, checkResp2, checkPubSub2, checkPasswords, checkTutorial, checkErrors);
