// Runs one of Emmett's projections over all messages of a store with its consumer; prints how many seconds that took.
// fold: a document for each stream; rows: a statement for each event; pages: a statement for as many as it is given.
import {
    pongoSingleStreamProjection,
    postgreSQLEventStoreConsumer,
    postgreSQLRawBatchSQLProjection,
    postgreSQLRawSQLProjection,
} from '@event-driven-io/emmett-postgresql';
import { sql } from '@event-driven-io/dumbo';

const row = ({ metadata, data }) =>
    sql('(%s, %L, %L)', metadata.globalPosition.toString(), metadata.streamName, data.product);
const canHandle = ['OrderItemAdded'];
const projections = {
    fold: () => pongoSingleStreamProjection({
        collectionName: 'bench_states',
        canHandle,
        initialState: () => ({ events: 0 }),
        evolve: (state, { data }) => ({ ...state, events: state.events + 1, last: data.product }),
    }),
    rows: () => postgreSQLRawSQLProjection({
        name: 'bench_rows',
        canHandle,
        evolve: (event) => `INSERT INTO bench_rows VALUES ${row(event)}`,
    }),
    pages: () => postgreSQLRawBatchSQLProjection({
        name: 'bench_rows',
        canHandle,
        evolve: (events) => [`INSERT INTO bench_rows VALUES ${events.map(row).join(', ')}`],
    }),
};

const [kind, batchSize] = process.argv.slice(2);
const { PGHOST, PGPORT, PGUSER, PGDATABASE } = process.env;
const consumer = postgreSQLEventStoreConsumer({
    connectionString: `postgresql://${PGUSER}@/${PGDATABASE}?host=${encodeURIComponent(PGHOST)}&port=${PGPORT}`,
    // By default it would take 100 messages every 50 ms.
    pulling: { batchSize: Number(batchSize), pullingFrequencyInMs: 0 },
    stopWhen: { noMessagesLeft: true },
});
consumer.projector({ processorId: `bench-${process.pid}`, projection: projections[kind](), startFrom: 'BEGINNING' });
const start = process.hrtime.bigint();
await consumer.start();
process.stdout.write(`${Number(process.hrtime.bigint() - start) / 1e9}\n`);
process.exit(0);
