-- The same columns in one unpartitioned table: what reading everything in order costs at best.
CREATE TABLE events (
    partition_sequence bigint NOT NULL,
    stream_version     bigint NOT NULL,
    global_position    bigint PRIMARY KEY,
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
);
