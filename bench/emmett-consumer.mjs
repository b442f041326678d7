// Follows a store with Emmett's consumer, with its own defaults, from a position on:
// prints when each event was handled, in nanoseconds of the monotonic clock, and its stream.
import { postgreSQLEventStoreConsumer } from '@event-driven-io/emmett-postgresql';

const { PGHOST, PGPORT, PGUSER, PGDATABASE } = process.env;
const consumer = postgreSQLEventStoreConsumer({
    connectionString: `postgresql://${PGUSER}@/${PGDATABASE}?host=${encodeURIComponent(PGHOST)}&port=${PGPORT}`,
});
consumer.reactor({
    processorId: 'bench',
    startFrom: { lastCheckpoint: BigInt(process.argv[2]) },
    eachMessage: (message) => {
        process.stdout.write(`${process.hrtime.bigint()} ${message.metadata.streamName}\n`);
    },
});
process.on('SIGINT', () => process.exit(0));
await consumer.start();
