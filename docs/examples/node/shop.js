// Orders are streams of events; a table has their totals. See ../README.md.
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

const WRONG_VERSION = 'SE001'
const CONDITION_FAILED = 'SE009'

// Connects, works, and disconnects.
async function connected(work) {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL })
  // A lost connection fails the query; without this handler it would end the program, too.
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

// The events of a stream in their order.
async function read(client, stream) {
  const { rows } = await client.query(
    'SELECT stream_version AS version, event_name AS name, payload FROM escan($1)', [stream])
  return rows
}

// Reads, decides, and appends with the version that it has read; on a conflict, begins again.
async function add(order, item, price) {
  const stream = `order-${order}`
  return connected(async client => {
    for (;;) {
      const events = await read(client, stream)
      if (events.some(event => event.name === 'OrderPaid')) return `${stream} is paid`
      // A bigint is a string here, and can be passed as one.
      const expected = events.at(-1)?.version ?? 'empty'
      try {
        const { rows: [added] } = await client.query(
          "SELECT stream_version AS version FROM eappend($1, 'ItemAdded', $2, expected_version => $3)",
          [stream, { item, price: Number(price) }, expected])
        return `${stream}: ${item}, version ${added.version}`
      } catch (error) {
        if (error.code !== WRONG_VERSION) throw error
      }
    }
  })
}

// Appends an event with an id: if the answer is lost, the same call again stores nothing twice.
async function pay(order, payment) {
  for (;;) {
    try {
      return await connected(async client => {
        const { rows: [paid] } = await client.query(
          "SELECT stream_version AS version FROM eappend($1, 'OrderPaid', event_id => $2)",
          [`order-${order}`, payment])
        return `order-${order}: paid, version ${paid.version}`
      })
    } catch (error) {
      if (!isTransient(error)) throw error
      console.error(`connecting again: ${error.message}`)
      await sleep(1000)
    }
  }
}

// Appends an event unless any stream has one with the same tag.
async function redeem(order, coupon) {
  const tag = `coupon:${coupon}`
  return connected(async client => {
    try {
      const { rows: [redeemed] } = await client.query(
        "SELECT stream_version AS version FROM eappend($1, 'CouponRedeemed', $2, tags => $3, condition => $4)",
        [`order-${order}`, { coupon }, [tag], { query: [{ tags: [tag] }], after: -1 }])
      return `order-${order}: ${coupon}, version ${redeemed.version}`
    } catch (error) {
      if (error.code !== CONDITION_FAILED) throw error
      return `${coupon} was redeemed before`
    }
  })
}

async function show(order) {
  const events = await connected(client => read(client, `order-${order}`))
  return events.map(({ version, name, payload }) => [version, name, ...Object.values(payload ?? {})].join(' ')).join('\n')
}

// Keeps the table order_totals up to date; each event counts exactly once.
async function totals(consumer = null) {
  for (;;) {
    try {
      await connected(async client => {
        await client.query(`CREATE TABLE IF NOT EXISTS order_totals
          (stream_id text PRIMARY KEY, events bigint NOT NULL, total bigint NOT NULL)`)
        await client.query(`SELECT esub('order-totals', streams => ARRAY['order-*'],
          start_from => 'earliest', max_attempts => 3)`)
        for (;;) {
          for (const event of await consume(client, consumer)) console.log(`${event.stream_id} ${event.event_name}`)
        }
      })
    } catch (error) {
      console.error(`connecting again: ${error.message}`)
      await sleep(1000)
    }
  }
}

// Waits for events, counts and acknowledges them in one transaction: all of it, or nothing.
async function consume(client, consumer) {
  const done = []
  let failed, reason
  await client.query('BEGIN')
  const { rows: events } = await client.query(
    `SELECT global_position, stream_id, event_name, payload->>'price' AS price
       FROM enext('order-totals', wait => '10 seconds', consumer => $1)`, [consumer])
  for (const event of events) {
    await client.query('SAVEPOINT event') // a failure takes back only this event
    try {
      await count(client, event)
      done.push(event)
    } catch (error) {
      if (isTransient(error)) throw error
      await client.query('ROLLBACK TO SAVEPOINT event')
      failed = event
      reason = error.message
      break
    }
    await client.query('RELEASE SAVEPOINT event')
  }
  if (done.length) await client.query("SELECT eack('order-totals', $1, $2)", [done.at(-1).global_position, consumer])
  if (failed) {
    await client.query("SELECT enack('order-totals', $1, reason => $2, consumer => $3)",
      [failed.global_position, reason, consumer])
  }
  await client.query('COMMIT')
  return done
}

async function count(client, event) {
  await client.query(
    `INSERT INTO order_totals AS t VALUES ($1, 1, coalesce($2::bigint, 0))
     ON CONFLICT (stream_id) DO UPDATE SET events = t.events + 1, total = t.total + excluded.total`,
    [event.stream_id, event.price])
}

// Whether it is not the fault of the statement: a deadlock, a lost connection.
function isTransient(error) {
  return !(error instanceof pg.DatabaseError) || /^(08|40|53|55|57|58)/.test(error.code)
}

const commands = { add, pay, redeem, show, totals }
const [command, ...args] = process.argv.slice(2)
console.log(await commands[command](...args))
