-- The tables of a store: what queries of users may rely on.
BEGIN;
SELECT plan(88);
SELECT lives_ok($$SELECT create_event_store('shape', 3)$$, 'a store with three partitions');

SELECT has_schema('shape');
SELECT tables_are('shape', ARRAY['events', 'events_0', 'events_1', 'events_2', 'stream_keys', 'event_ids', 'event_tags',
                  'subscriptions', 'subscription_cursors', 'subscription_consumers', 'subscription_streams',
                  'aggregates', 'snapshots', 'timers', 'upcasters', 'projections', 'projection_states',
                  'sagas', 'saga_instances']);
SELECT sequences_are('shape', ARRAY['global_position']);
SELECT is_partitioned('shape', 'events', 'events is partitioned');
SELECT is_partition_of('shape', 'events_0', 'shape', 'events', 'events_0 is a partition of it');
SELECT is_partition_of('shape', 'events_1', 'shape', 'events', 'events_1 is a partition of it');
SELECT is_partition_of('shape', 'events_2', 'shape', 'events', 'events_2 is a partition of it');
SELECT is(pg_get_partkeydef('shape.events'::regclass), 'LIST (partition_id)', 'partitioned by partition_id');
SELECT columns_are('shape', 'events', ARRAY['partition_sequence', 'stream_version', 'global_position', 'timestamp', 'event_id',
                   'partition_key', 'transaction_id', 'partition_id', 'stream_id', 'event_name', 'metadata', 'payload', 'payload_bytes', 'tags']);
SELECT is_empty(
    $$SELECT a.attname, format_type(a.atttypid, -1) FROM pg_attribute AS a WHERE a.attrelid = 'sierra_event'::regclass AND a.attnum > 0
      EXCEPT SELECT attname, format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = 'shape.events'::regclass AND attnum > 0$$,
    'each column of sierra_event is one of the table, of the same type');
SELECT columns_are('shape', 'stream_keys', ARRAY['stream_id', 'partition_key']);
SELECT columns_are('shape', 'event_ids', ARRAY['event_id', 'partition_id']);
SELECT columns_are('shape', 'event_tags', ARRAY['tag', 'global_position', 'partition_id', 'partition_sequence']);
SELECT col_is_pk('shape', 'events_0', 'partition_sequence', 'a partition''s primary key is its sequence');
SELECT col_is_unique('shape', 'events_0', ARRAY['stream_id', 'stream_version'], 'versions are unique in a stream');
SELECT col_is_unique('shape', 'events_0', 'event_id', 'event ids are unique in a partition');
SELECT col_is_pk('shape', 'stream_keys', 'stream_id', 'a stream has one key');
SELECT col_is_pk('shape', 'event_ids', 'event_id', 'an event id is registered once');
SELECT col_is_pk('shape', 'event_tags', ARRAY['tag', 'global_position', 'partition_id', 'partition_sequence'], 'the index of tags has all columns');
SELECT col_not_null('shape', 'events', 'stream_id', 'a stream id is never null');
SELECT col_is_null('shape', 'events', 'payload', 'a payload may be');
SELECT is_empty(
    $$SELECT attrelid::regclass, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
       WHERE relnamespace = 'shape'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0
         AND atttypid IN ('xid'::regtype, 'xid8'::regtype, 'pg_lsn'::regtype, 'oid'::regtype, 'tid'::regtype, 'regclass'::regtype)$$,
    'portable_positions: no xid, LSN or OID in any table of a store');
SELECT is((SELECT ROW (seqtypid::regtype, seqstart, seqmin, seqincrement, seqcycle, seqcache)::text FROM pg_sequence WHERE seqrelid = 'shape.global_position'::regclass),
          '(bigint,0,0,1,f,1)', 'positions: bigint from 0 by 1, no cycle, no cache');
SELECT has_trigger('shape', 'events', 'sierra_guard', 'the events are guarded');
SELECT trigger_is('shape', 'events_1', 'sierra_guard', 'sierra_internal', 'guard_events', 'so is each partition');
SELECT is(sierra_internal.partition_count('shape'), 3, 'the guard of the events keeps the number of partitions');
SELECT is(sierra_internal.partition_count('no_such_store'), NULL, 'no store, no partitions');
SELECT is((SELECT string_agg(tgrelid::regclass::text || ' ' || tgnargs, ', ' ORDER BY tgrelid::regclass::text) FROM pg_trigger WHERE tgname = 'sierra_guard' AND tgrelid::regclass::text LIKE 'shape.%'),
          'shape.event_ids 0, shape.event_tags 0, shape.events 1, shape.events_0 0, shape.events_1 0, shape.events_2 0, shape.stream_keys 0',
          'it has one argument, the other guards have none');
SELECT has_trigger('shape', 'stream_keys', 'sierra_guard', 'and the keys');
SELECT has_trigger('shape', 'event_ids', 'sierra_guard', 'and the ids');
SELECT has_trigger('shape', 'event_tags', 'sierra_guard', 'and the tags');

-- The tables of subscriptions: they hold no events, so they have no guard.
SELECT columns_are('shape', 'subscriptions', ARRAY['subscription', 'streams', 'event_names', 'tags', 'partitions', 'start_after', 'start_sequences',
                   'start_streams', 'start_versions', 'window_size', 'lease_time', 'max_attempts', 'created_at']);
SELECT columns_are('shape', 'subscription_cursors', ARRAY['subscription', 'partition_id', 'cursor', 'epoch', 'consumer', 'acknowledged_at',
                   'last_error', 'last_error_at']);
SELECT columns_are('shape', 'subscription_consumers', ARRAY['subscription', 'consumer', 'acknowledged', 'delivered', 'joined_at', 'seen_at']);
SELECT columns_are('shape', 'subscription_streams', ARRAY['subscription', 'stream_id', 'partition_id', 'state', 'position', 'version', 'delivered',
                   'failed_position', 'failed_version', 'attempts', 'retry_at', 'reason', 'failed_at']);
SELECT col_is_pk('shape', 'subscriptions', 'subscription', 'a subscription has a name');
SELECT col_is_pk('shape', 'subscription_cursors', ARRAY['subscription', 'partition_id'], 'one cursor for each partition');
SELECT col_is_pk('shape', 'subscription_consumers', ARRAY['subscription', 'consumer'], 'a consumer is in a group once');
SELECT col_is_pk('shape', 'subscription_streams', ARRAY['subscription', 'stream_id'], 'a stream is diverted once');
SELECT col_isnt_fk('shape', t, 'subscription', t || ' refers to no other table: pg_restore loads them in any order')
  FROM unnest(ARRAY['subscription_cursors', 'subscription_consumers', 'subscription_streams']::name[]) AS t;
SELECT hasnt_trigger('shape', t, 'sierra_guard', t || ' are changed as any table')
  FROM unnest(ARRAY['subscriptions', 'subscription_cursors', 'subscription_consumers', 'subscription_streams']::name[]) AS t;
SELECT is((SELECT string_agg(relname::text, ', ' ORDER BY relname::text) FROM pg_class
            WHERE relnamespace = 'shape'::regnamespace AND 'fillfactor=50' = ANY (reloptions)),
          'projection_states, projections, subscription_consumers, subscription_cursors, subscription_streams', 'rows that are updated have room beside them');
SELECT is_empty(
    $$SELECT c.relname, a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
       WHERE c.relnamespace = 'shape'::regnamespace AND c.relname ~ '^subscription' AND c.relkind = 'r' AND a.attnum > 0
         AND a.attname IN ('subscription', 'consumer', 'stream_id') AND a.attcollation <> '"C"'::regcollation$$,
    'names are compared byte by byte');
SELECT is_empty($$SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'shape'::regnamespace AND c.relname ~ '^(subscription|projection)' AND c.relkind = 'r'
                     AND obj_description(c.oid, 'pg_class') IS NULL$$, 'the tables have comments');

-- The tables of what is derived from events, and of future events.
SELECT columns_are('shape', 'aggregates', ARRAY['aggregate', 'fold', 'initial', 'snapshot_every', 'fold_version', 'definition', 'created_at']);
SELECT columns_are('shape', 'snapshots', ARRAY['aggregate', 'stream_id', 'definition', 'version', 'snapshot_id', 'newest', 'state', 'taken_at']);
SELECT columns_are('shape', 'timers', ARRAY['timer_id', 'due_at', 'run_at', 'stream_id', 'event_name', 'payload', 'payload_bytes', 'metadata',
                   'partition_key', 'tags', 'attempts', 'interruptions', 'last_error', 'created_at']);
SELECT columns_are('shape', 'upcasters', ARRAY['event_name', 'from_version', 'upcast']);
SELECT col_is_pk('shape', 'aggregates', 'aggregate', 'an aggregate has a name');
SELECT col_is_pk('shape', 'snapshots', ARRAY['aggregate', 'stream_id', 'definition', 'version', 'snapshot_id'], 'the same snapshot may be there twice');
SELECT col_is_pk('shape', 'timers', 'timer_id', 'a timer has an id');
SELECT col_is_pk('shape', 'upcasters', ARRAY['event_name', 'from_version'], 'from a version leads one upcaster');
SELECT hasnt_trigger('shape', t, 'sierra_guard', t || ' are changed as any table')
  FROM unnest(ARRAY['aggregates', 'snapshots', 'timers', 'upcasters']::name[]) AS t;
SELECT is_empty($$SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'shape'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
                     AND obj_description(c.oid, 'pg_class') IS NULL$$, 'all tables have comments');

-- The tables of projections and sagas.  Their guards are others: see
-- sierra_internal.restore_row_guards().
SELECT columns_are('shape', 'projections', ARRAY['projection', 'version', 'live', 'owner', 'kind', 'handler', 'key', 'initial', 'streams',
                   'event_names', 'tags', 'search_path', 'mode', 'subscription', 'batch_size', 'on_error', 'max_attempts', 'retry_after', 'automatic',
                   'state', 'attempts', 'interruptions', 'retry_at', 'failed_position', 'failed_stream', 'last_error', 'last_error_at', 'processed', 'rate',
                   'created_at', 'updated_at']);
SELECT columns_are('shape', 'sagas', ARRAY['saga', 'version', 'owner', 'steps', 'timeout', 'search_path', 'created_at']);
SELECT columns_are('shape', 'saga_instances', ARRAY['saga_id', 'saga', 'version', 'status', 'step', 'attempts', 'interruptions', 'run_at', 'deadline',
                   'correlation_id', 'last_error', 'started_at', 'updated_at', 'ended_at']);
SELECT col_is_pk('shape', 'sagas', ARRAY['saga', 'version'], 'a saga has versions');
SELECT col_is_pk('shape', 'saga_instances', 'saga_id', 'an instance has an id, that of its stream');
SELECT fk_ok('shape', 'saga_instances', ARRAY['saga', 'version'], 'shape', 'sagas', ARRAY['saga', 'version'], 'an instance keeps its version');
SELECT columns_are('shape', 'projection_states', ARRAY['projection', 'version', 'key', 'state', 'position', 'stream_version']);
SELECT col_is_pk('shape', 'projections', ARRAY['projection', 'version'], 'a version is there once');
SELECT index_is_unique('shape', 'projections', 'projections_live', 'one version is live');
SELECT col_is_pk('shape', 'projection_states', ARRAY['projection', 'version', 'key'], 'a key has one state');
SELECT trigger_is('shape', t, 'sierra_guard_owner', 'sierra_internal', 'guard_owner', 'nobody writes ' || t || ' for another role')
  FROM unnest(ARRAY['projections', 'sagas', 'upcasters']::name[]) AS t;
SELECT trigger_is('shape', t, 'sierra_guard_definition', 'sierra_internal', 'guard_definition', 'nobody changes what is in ' || t)
  FROM unnest(ARRAY['projections', 'sagas']::name[]) AS t;

-- The errors that a client distinguishes have their codes also where pgTAP looks.
SELECT lives_ok($$SET LOCAL sierra_es.store = 'shape'$$, 'use this store');
SELECT throws_ok($$SELECT eappend('a', 'x', expected_version => 0)$$, 'SE001', 'wrong expected version of stream "a"', 'a wrong version is SE001');
SELECT throws_ok($$SELECT enext('s')$$, 'SE007', 'no subscription "s"', 'no subscription is SE007');
SELECT throws_ok($$SELECT eunsub('s')$$, 'SE007', 'no subscription "s"', 'from every function');
SELECT is(esub('s', start_from => 'earliest'), -1::bigint, 'a subscription is made');
SELECT throws_ok($$SELECT esub('s', ARRAY['a'])$$, '42710', 'subscription "s" already exists', 'another definition is 42710');
SELECT throws_ok($$SELECT eack('s', 0)$$, '22023', 'position 0 of subscription "s" was not delivered', 'what was not delivered is 22023');
SELECT is_empty($$SELECT enext('s', consumer => 'one')$$, 'it becomes a group');
SELECT throws_ok($$SELECT enext('s')$$, '55000', 'subscription "s" is consumed by a group', 'a group without consumer is 55000');
SELECT throws_ok($$SELECT eack('s', 0, 'two')$$, 'SE008', 'consumer "two" holds no lease on subscription "s"', 'a stale lease is SE008');

SELECT * FROM finish();
ROLLBACK;
