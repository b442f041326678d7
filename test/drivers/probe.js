// What docs/drivers.md says of pg: prints each row of its table whose code works as it says.
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import pg from 'pg'

const connectionString = process.env.DATABASE_URL
const client = await connect()

async function connect(options) {
  const client = new pg.Client({ connectionString, ...options })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function one(sql, ...values) {
  return (await client.query({ text: sql, values, rowMode: 'array' })).rows[0][0]
}

async function row(name, cell, code) {
  try {
    console.log(`${name} | ${await code() ? cell : 'is not so'}`)
  } catch (error) {
    console.log(`${name} | ${error}`)
  }
}

const id = randomUUID()
const now = new Date()

await row('a document', 'an object, or `JSON.stringify(value)`', async () => {
  for (const document of [{ n: 1 }, JSON.stringify({ n: 1 }), null]) {
    await one("SELECT stream_version FROM eappend('documents', 'x', $1, $2)", document, document)
  }
  return await one("SELECT count(*) FROM escan('documents') WHERE (payload->>'n')::int = 1") === '2'
})
await row('a document that is an array', '`JSON.stringify([...])`; an array alone would be one of SQL', async () => {
  const refused = await one("SELECT stream_version FROM eappend('array', 'x', $1)", [1]).then(() => false, () => true)
  return refused && await one("SELECT stream_version FROM eappend('array', 'x', $1)", JSON.stringify([1, { n: 2 }])) === '0'
})
await row('an expected version', 'a number or a string: `3`, `\'3\'`, `\'empty\'`', async () => {
  const version = await one("SELECT stream_version FROM eappend('versions', 'x', expected_version => $1)", 'empty')
  return await one("SELECT stream_version FROM eappend('versions', 'x', expected_version => $1)", version) === '1' &&
    await one("SELECT stream_version FROM eappend('versions', 'x', expected_version => $1)", 1) === '2'
})
await row('a position or version that was read', 'a string; pass it back as it is, compare it as `BigInt`',
  async () => typeof await one('SELECT ehead()') === 'string')
await row('a payload that was read', 'an object, array and so on',
  async () => (await one("SELECT payload FROM escan('documents') LIMIT 1")).n === 1)
await row('an event id', 'a string', async () =>
  await one("SELECT event_id FROM eappend('ids', 'x', event_id => $1)", id) === id)
await row('tags', 'an array of strings', async () =>
  await one("SELECT stream_version FROM eappend('tags', 'x', tags => $1)", ['a']) === '0' &&
  (await one("SELECT tags FROM escan('tags')"))[0] === 'a')
await row('bytes', '`Buffer`', async () =>
  await one("SELECT stream_version FROM eappend('bytes', 'x', payload_bytes => $1)", Buffer.from([0, 255])) === '0' &&
  (await one("SELECT payload_bytes FROM escan('bytes')")).equals(Buffer.from([0, 255])))
await row('a time', '`Date`, which has milliseconds only', async () =>
  (await one('SELECT "timestamp" FROM eappend(\'times\', \'x\', "timestamp" => $1)', now)).getTime() === now.getTime())
await row('several events', '`emappend(NULL, $1)` with `JSON.stringify([...])`', async () => {
  const events = [1, 2, 3].map(n => ({ stream_id: 'several', event_name: 'x', payload: [n] }))
  return await one('SELECT count(*) FROM emappend(NULL, $1)', JSON.stringify(events)) === '3'
})
await row('a wait that takes too long', '`statement_timeout`: code `57014`; `query_timeout` must be longer than the wait', async () => {
  await one("SELECT esub('late')")
  const hurried = await connect({ statement_timeout: 100 })
  const code = await hurried.query("SELECT FROM enext('late', wait => '1 minute')").catch(error => error.code)
  await hurried.end()
  const impatient = await connect({ query_timeout: 100 })
  const message = await impatient.query("SELECT FROM enext('late', wait => '2 seconds')").catch(error => error.message)
  await impatient.end()
  return code === '57014' && message === 'Query read timeout'
})
await row('behind a pooler', 'queries without `name`', async () => {
  for (let i = 0; i < 9; i++) await client.query("SELECT FROM eappend('pooled', 'x', $1)", ['{}'])
  return await one('SELECT count(*) FROM pg_prepared_statements') === '0'
})
await row('notifications', "`client.on('notification', …)`", async () => {
  const listener = await connect()
  await listener.query('LISTEN sierra_es')
  const heard = once(listener, 'notification')
  await client.query("SELECT pg_notify('sierra_es', '{}')")
  const [{ payload }] = await heard
  await listener.end()
  return payload === '{}'
})
await row('a lost connection', 'an error that is not a `pg.DatabaseError`, or has code `57P01`; and the event `error`', async () => {
  const other = await connect()
  const event = new Promise(resolve => other.once('error', resolve))
  const error = await other.query('SELECT pg_terminate_backend(pg_backend_pid())').catch(error => error)
  const later = await other.query('SELECT 1').catch(error => error)
  await event
  return error.code === '57P01' && later instanceof Error && !(later instanceof pg.DatabaseError)
})
await client.end()
