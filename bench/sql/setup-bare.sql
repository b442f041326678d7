-- The equal table: columns, types, partitions and unique indexes of a store's events.
CREATE SEQUENCE position MINVALUE 0;

CREATE TABLE events (
    partition_sequence bigint NOT NULL,
    stream_version     bigint NOT NULL,
    global_position    bigint NOT NULL,
    "timestamp"        timestamptz NOT NULL,
    event_id           uuid NOT NULL,
    partition_key      uuid NOT NULL,
    transaction_id     uuid NOT NULL,
    partition_id       int NOT NULL,
    stream_id          text COLLATE "C" NOT NULL,
    event_name         text NOT NULL,
    metadata           json,
    payload            json,
    payload_bytes      bytea,
    tags               text[]
) PARTITION BY LIST (partition_id);

SELECT format('CREATE TABLE events_%s PARTITION OF events
    (PRIMARY KEY (partition_sequence), UNIQUE (stream_id, stream_version), UNIQUE (event_id))
    FOR VALUES IN (%s)', leaf, leaf)
FROM generate_series(0, 31) leaf \gexec
