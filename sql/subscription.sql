-- ---------------------------------------------------------------------------
-- Subscriptions: their tables, how they are made and dropped, what consumers call.
-- ---------------------------------------------------------------------------

-- The progress of consumers is in tables of its own: their rows are updated all the
-- time, and those of subscriptions never.  Half-filled pages keep updates HOT.  They have
-- no foreign keys, because pg_restore --data-only does not load tables in their order.
CREATE FUNCTION sierra_internal.create_subscription_tables(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE %I.subscriptions ('
        ' subscription text COLLATE "C" PRIMARY KEY,'
        ' streams text[],'
        ' event_names text[],'
        ' tags text[],'
        ' partitions integer[],'
        ' start_after bigint NOT NULL,'
        ' start_sequences bigint[],'
        ' start_streams text[],'
        ' start_versions bigint[],'
        ' window_size integer NOT NULL CHECK (window_size > 0),'
        ' lease_time interval NOT NULL CHECK (lease_time > ''0''),'
        ' max_attempts integer NOT NULL CHECK (max_attempts > 0),'
        ' created_at timestamptz NOT NULL DEFAULT now())', store);
    EXECUTE format(
        'CREATE TABLE %1$I.subscription_cursors ('
        ' subscription text COLLATE "C" NOT NULL,'
        ' partition_id integer NOT NULL,'
        ' cursor bigint NOT NULL,'
        ' epoch bigint NOT NULL DEFAULT 0,'
        ' consumer text COLLATE "C",'
        ' acknowledged_at timestamptz,'
        ' last_error text,'
        ' last_error_at timestamptz,'
        ' PRIMARY KEY (subscription, partition_id)) WITH (fillfactor = 50)', store);
    EXECUTE format(
        'CREATE TABLE %1$I.subscription_consumers ('
        ' subscription text COLLATE "C" NOT NULL,'
        ' consumer text COLLATE "C" NOT NULL,'
        ' acknowledged bigint NOT NULL,'
        ' delivered bigint NOT NULL,'
        ' joined_at timestamptz NOT NULL,'
        ' seen_at timestamptz NOT NULL,'
        ' PRIMARY KEY (subscription, consumer)) WITH (fillfactor = 50)', store);
    EXECUTE format(
        'CREATE TABLE %1$I.subscription_streams ('
        ' subscription text COLLATE "C" NOT NULL,'
        ' stream_id text COLLATE "C" NOT NULL,'
        ' partition_id integer NOT NULL,'
        ' state text NOT NULL CHECK (state IN (''retrying'', ''parked'', ''draining'', ''drained'')),'
        ' position bigint NOT NULL,'
        ' version bigint NOT NULL,'
        ' delivered bigint,'
        ' failed_position bigint,'
        ' failed_version bigint,'
        ' attempts integer NOT NULL,'
        ' retry_at timestamptz,'
        ' reason text,'
        ' failed_at timestamptz,'
        ' PRIMARY KEY (subscription, stream_id)) WITH (fillfactor = 50)', store);

    EXECUTE format('COMMENT ON TABLE %I.subscriptions IS %L', store,
                   'durable subscriptions: what they want and where they began');
    EXECUTE format('COMMENT ON TABLE %I.subscription_cursors IS %L', store,
                   'how far subscriptions are acknowledged: partition -1 for the whole, or by'
                   ' partition, leased to a consumer of the group');
    EXECUTE format('COMMENT ON TABLE %I.subscription_consumers IS %L', store,
                   'consumers of groups: what was delivered to them, when they were last seen');
    EXECUTE format('COMMENT ON TABLE %I.subscription_streams IS %L', store,
                   'streams that do not move with their subscription: one of their events failed');
END
$$;
COMMENT ON FUNCTION sierra_internal.create_subscription_tables(name) IS
    'creates the tables of a store for subscriptions';

CREATE FUNCTION sierra_internal.report_no_subscription(store name, subscription text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'SE007',
        MESSAGE = format('no subscription "%s"', subscription),
        DETAIL = format('Store "%s" has no subscription of this name.', store),
        HINT = 'Make it with esub() or epsub(); event_subscriptions() lists them.';
END
$$;
COMMENT ON FUNCTION sierra_internal.report_no_subscription(name, text) IS
    'raises the error that a subscription does not exist';

-- For functions whose statements would find no row of a subscription that does not exist.
CREATE FUNCTION sierra_internal.require_subscription(store name, subscription text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found_one boolean;
BEGIN
    PERFORM sierra_internal.require_value('subscription', subscription IS NULL);
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.subscriptions AS s WHERE s.subscription = $1)', store)
       INTO found_one USING subscription;
    IF NOT found_one THEN
        PERFORM sierra_internal.report_no_subscription(store, subscription);
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_internal.require_subscription(name, text) IS
    'raises an error unless a subscription exists';

-- Checks of the arguments that esub() and epsub() share.
CREATE FUNCTION sierra_internal.check_subscription_arguments(subscription text, start_from start_position, window_size integer,
                                                             lease_time interval, max_attempts integer)
    RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM sierra_internal.require_value('subscription', subscription IS NULL);
    PERFORM sierra_internal.require_value('start_from', start_from IS NULL);
    PERFORM sierra_internal.require_value('window_size', window_size IS NULL);
    PERFORM sierra_internal.require_value('lease_time', lease_time IS NULL);
    PERFORM sierra_internal.require_value('max_attempts', max_attempts IS NULL);
    IF octet_length(subscription) NOT BETWEEN 1 AND 255
       OR subscription ~ E'[\\u0001-\\u001f\\u007f-\\u009f]' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'the name of a subscription has 1 to 255 bytes and no control characters',
            DETAIL = format('It has %s bytes.', octet_length(subscription));
    END IF;
    IF window_size NOT BETWEEN 1 AND 1000000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a window has 1 to 1000000 events',
            DETAIL = format('The value is %s.', window_size);
    END IF;
    IF lease_time NOT BETWEEN interval '100 milliseconds' AND interval '1 day' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a lease lasts 100 milliseconds to 1 day',
            DETAIL = format('The value is %s.', lease_time);
    END IF;
    IF max_attempts NOT BETWEEN 1 AND 1000000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'max_attempts must be 1 to 1000000',
            DETAIL = format('The value is %s.', max_attempts);
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_internal.check_subscription_arguments(text, start_position, integer, interval, integer) IS
    'raises an error unless the arguments of a subscription are within bounds';

-- All rows of a subscription but its definition.
CREATE FUNCTION sierra_internal.delete_subscription_progress(store name, subscription text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation text;
BEGIN
    -- Consumers first, because they are locked first.  Twice: the first round waits
    -- for consumers at work, and the second deletes what these left.
    FOREACH relation IN ARRAY ARRAY['subscription_consumers', 'subscription_streams',
                                    'subscription_cursors', 'subscription_consumers',
                                    'subscription_streams', 'subscription_cursors'] LOOP
        EXECUTE format('DELETE FROM %I.%I AS r WHERE r.subscription = $1', store, relation)
          USING subscription;
    END LOOP;
END
$$;
COMMENT ON FUNCTION sierra_internal.delete_subscription_progress(name, text) IS
    'deletes the cursors, consumers and failed streams of a subscription';

-- Writes the rows of a subscription, unless it exists already.
CREATE FUNCTION sierra_internal.add_subscription(store name, subscription text, streams text[],
                                                 event_names text[], tags text[], partitions integer[],
                                                 start_after bigint, start_sequences bigint[],
                                                 start_streams text[], start_versions bigint[],
                                                 cursor bigint, window_size integer, lease_time interval,
                                                 max_attempts integer) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    added integer;
    same boolean;
    acknowledged bigint;
BEGIN
    EXECUTE format('INSERT INTO %I.subscriptions (subscription, streams, event_names, tags, partitions,'
                   ' start_after, start_sequences, start_streams, start_versions, window_size,'
                   ' lease_time, max_attempts)'
                   ' VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)'
                   ' ON CONFLICT DO NOTHING', store)
      USING subscription, streams, event_names, tags, partitions, start_after, start_sequences,
            start_streams, start_versions, window_size, lease_time, max_attempts;
    GET DIAGNOSTICS added = ROW_COUNT;
    IF added > 0 THEN
        -- A consumer may have left some, if it was at work while the last subscription of
        -- this name was dropped.
        PERFORM sierra_internal.delete_subscription_progress(store, subscription);
        EXECUTE format('INSERT INTO %1$I.subscription_cursors (subscription, partition_id, cursor)'
                       ' VALUES ($1, -1, $2)', store)
          USING subscription, cursor;
    END IF;
    EXECUTE format('SELECT (s.streams, s.event_names, s.tags, s.partitions, s.window_size, s.lease_time,'
                   '        s.max_attempts) IS NOT DISTINCT FROM ($2, $3, $4, $5, $6, $7, $8),'
                   '       (SELECT min(c.cursor) FROM %1$I.subscription_cursors AS c'
                   '         WHERE c.subscription = s.subscription)'
                   '  FROM %1$I.subscriptions AS s WHERE s.subscription = $1', store)
       INTO same, acknowledged
      USING subscription, streams, event_names, tags, partitions, window_size, lease_time, max_attempts;
    IF NOT coalesce(same, false) THEN
        RAISE duplicate_object USING
            MESSAGE = format('subscription "%s" already exists', subscription),
            DETAIL = 'It has another filter, window, lease time or number of attempts.',
            HINT = 'Choose another name, or drop it with eunsub() first.';
    END IF;
    RETURN acknowledged;
END
$$;
COMMENT ON FUNCTION sierra_internal.add_subscription(name, text, text[], text[], text[], integer[], bigint, bigint[], text[], bigint[], bigint, integer, interval, integer) IS
    'writes a subscription if it does not exist, and returns its acknowledged cursor';

-- 'latest' is after the newest event of each partition.  Events in flight come after it.
CREATE FUNCTION sierra_internal.next_sequences(partitions integer[], count integer) RETURNS bigint[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(CASE WHEN $1 IS NULL OR p = ANY ($1)
                          THEN coalesce(@extschema@.epseq(p) + 1, 0) END ORDER BY p)
      FROM generate_series(0, least($2, 1024) - 1) AS p
$$;
COMMENT ON FUNCTION sierra_internal.next_sequences(integer[], integer) IS
    'returns by partition the sequence that its next event will have, null for unwanted partitions';

-- Projections have subscriptions of their own.  What a projection has not handled must not be
-- acknowledged, nor its subscription dropped, by a call for subscriptions.
CREATE FUNCTION sierra_internal.require_public_subscription(subscription text) RETURNS void
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_require_public_subscription';
COMMENT ON FUNCTION sierra_internal.require_public_subscription(text) IS
    'raises an error if a subscription is that of a projection';

CREATE FUNCTION sierra_internal.subscribe_to_streams(store name, subscription text, streams text[], event_names text[],
                                                     tags text[],
                                                     start_from start_position, start_versions json, window_size integer,
                                                     lease_time interval, max_attempts integer)
    RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    start_after bigint := -1;
    start_sequences bigint[];
    streams_of_map text[];
    versions_of_map bigint[];
    cursor bigint;
BEGIN
    PERFORM sierra_internal.check_subscription_arguments(subscription, start_from, window_size, lease_time,
                                                         max_attempts);
    IF array_position(streams, NULL) IS NOT NULL OR array_position(event_names, NULL) IS NOT NULL
       OR array_position(tags, NULL) IS NOT NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'streams, event_names and tags must not contain nulls';
    END IF;
    IF json_typeof(start_versions) <> 'object'
       OR EXISTS (SELECT FROM json_each_text(start_versions) AS v WHERE v.value !~ '^[0-9]{1,18}$'
                                                                       OR v.value IS NULL) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'start_versions must be a JSON object of stream ids and versions',
            DETAIL = format('It is %s.', start_versions),
            HINT = 'For example {"order-1": 5}: the stream is delivered from version 5 on.';
    END IF;
    SELECT array_agg(v.key ORDER BY v.key COLLATE "C"), array_agg(v.value::bigint ORDER BY v.key COLLATE "C")
      INTO streams_of_map, versions_of_map
      FROM (SELECT DISTINCT ON (j.key) j.key, j.value
              FROM json_each_text(start_versions) WITH ORDINALITY AS j (key, value, place)
             ORDER BY j.key, j.place DESC) AS v;

    IF start_from::text = 'latest' THEN
        cursor := @extschema@.ehead();
        start_sequences := sierra_internal.next_sequences(
            NULL, sierra_internal.partition_count(store));
    ELSE
        start_after := CASE start_from::text WHEN 'earliest' THEN -1 ELSE start_from::text::bigint END;
        cursor := start_after;
    END IF;
    -- Streams of the map may begin further back than the other streams.
    cursor := least(cursor, (SELECT min(e.global_position) - 1
                               FROM unnest(streams_of_map, versions_of_map) AS m (stream_id, version),
                                    @extschema@.escan(m.stream_id, m.version, m.version) AS e));
    RETURN sierra_internal.add_subscription(
        store, subscription, streams, event_names, tags, NULL, start_after, start_sequences,
        streams_of_map, versions_of_map, cursor, window_size, lease_time, max_attempts);
END
$$;
COMMENT ON FUNCTION sierra_internal.subscribe_to_streams(name, text, text[], text[], text[], start_position, json, integer, interval, integer) IS
    'creates a subscription to streams, and returns its cursor';

CREATE FUNCTION esub(subscription text,
                     streams text[] DEFAULT NULL,
                     event_names text[] DEFAULT NULL,
                     start_from start_position DEFAULT 'latest',
                     start_versions sierra_json DEFAULT NULL,
                     window_size integer DEFAULT 1000,
                     lease_time interval DEFAULT '30 seconds',
                     max_attempts integer DEFAULT 5,
                     tags text[] DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM sierra_internal.require_public_subscription(subscription);
    RETURN sierra_internal.subscribe_to_streams(sierra_internal.require_store(), subscription, streams, event_names, tags,
                                                start_from, start_versions, window_size, lease_time, max_attempts);
END
$$;
COMMENT ON FUNCTION esub(text, text[], text[], start_position, sierra_json, integer, interval, integer, text[]) IS
    'creates a subscription to streams, event names and tags if it does not exist, and returns its cursor';

CREATE FUNCTION epsub(subscription text,
                      partitions integer[] DEFAULT NULL,
                      start_from start_position DEFAULT 'latest',
                      start_sequences sierra_json DEFAULT NULL,
                      window_size integer DEFAULT 1000,
                      lease_time interval DEFAULT '30 seconds',
                      max_attempts integer DEFAULT 5)
    RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    count constant integer := sierra_internal.partition_count(store);
    wanted integer[] := (SELECT array_agg(DISTINCT p ORDER BY p) FROM unnest(partitions) AS p);
    start_after bigint := -1;
    sequences bigint[];
    cursor bigint;
BEGIN
    PERFORM sierra_internal.require_public_subscription(subscription);
    PERFORM sierra_internal.check_subscription_arguments(subscription, start_from, window_size, lease_time,
                                                         max_attempts);
    IF partitions IS NOT NULL AND (wanted IS NULL OR array_position(wanted, NULL) IS NOT NULL
                                   OR 0 > ANY (wanted) OR count <= ANY (wanted)) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('partitions %s cannot be subscribed to', partitions),
            DETAIL = format('Store "%s" has partitions 0 to %s.', store, count - 1),
            HINT = 'Name at least one of them, or pass NULL for all.';
    END IF;
    IF json_typeof(start_sequences) NOT IN ('number', 'object')
       OR json_typeof(start_sequences) = 'number' AND start_sequences::text !~ '^[0-9]{1,18}$'
       OR json_typeof(start_sequences) = 'object' AND EXISTS (
              SELECT FROM json_each_text(start_sequences) AS j
               WHERE j.value IS NULL OR j.value !~ '^[0-9]{1,18}$'
                  OR j.key <> 'default' AND (j.key !~ '^(0|[1-9][0-9]{0,8})$' OR j.key::integer >= count)) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'start_sequences must be a sequence, or a JSON object of partitions and sequences',
            DETAIL = format('It is %s; store "%s" has partitions 0 to %s.', start_sequences, store,
                            count - 1),
            HINT = 'For example {"0": 17, "default": 0}: partition 0 is delivered from sequence 17 on, the others from 0.';
    END IF;

    IF start_from::text = 'latest' THEN
        cursor := @extschema@.ehead();
        sequences := sierra_internal.next_sequences(wanted, count);
    ELSE
        start_after := CASE start_from::text WHEN 'earliest' THEN -1 ELSE start_from::text::bigint END;
        cursor := start_after;
    END IF;
    IF start_sequences IS NOT NULL THEN
        SELECT array_agg(coalesce(CASE json_typeof(start_sequences)
                                  WHEN 'number' THEN start_sequences::text
                                  ELSE coalesce(start_sequences ->> p::text,
                                                start_sequences ->> 'default') END::bigint,
                                  sequences[p + 1]) ORDER BY p)
          INTO sequences
          FROM generate_series(0, count - 1) AS p;
        -- Partitions without a sequence start at the position; others may begin further back.
        cursor := least(cursor, (SELECT min(e.global_position) - 1
                                   FROM generate_series(0, count - 1) AS p,
                                        @extschema@.epscan(p, sequences[p + 1], sequences[p + 1]) AS e
                                  WHERE (wanted IS NULL OR p = ANY (wanted))
                                    AND sequences[p + 1] IS NOT NULL));
    END IF;
    RETURN sierra_internal.add_subscription(
        store, subscription, NULL, NULL, NULL, wanted, start_after, sequences, NULL, NULL, cursor,
        window_size, lease_time, max_attempts);
END
$$;
COMMENT ON FUNCTION epsub(text, integer[], start_position, sierra_json, integer, interval, integer) IS
    'creates a subscription to partitions if it does not exist, and returns its cursor';

-- Consumers of groups need no lock: when they are not members any longer, their
-- acknowledgements fail.
CREATE FUNCTION sierra_internal.lock_subscription(store name, subscription text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_lock_subscription';
COMMENT ON FUNCTION sierra_internal.lock_subscription(name, text) IS
    'waits until no transaction consumes a subscription, and keeps others from it';

CREATE FUNCTION sierra_internal.drop_subscription(store name, subscription text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    dropped integer;
BEGIN
    PERFORM sierra_internal.lock_subscription(store, subscription);
    EXECUTE format('DELETE FROM %I.subscriptions AS s WHERE s.subscription = $1', store)
      USING subscription;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    PERFORM sierra_internal.delete_subscription_progress(store, subscription);
    IF dropped = 0 THEN
        PERFORM sierra_internal.report_no_subscription(store, subscription);
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_internal.drop_subscription(name, text) IS 'drops a subscription with all that is kept for it';

CREATE FUNCTION eunsub(subscription text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM sierra_internal.require_value('subscription', subscription IS NULL);
    PERFORM sierra_internal.require_public_subscription(subscription);
    PERFORM sierra_internal.drop_subscription(sierra_internal.require_store(), subscription);
END
$$;
COMMENT ON FUNCTION eunsub(text) IS 'drops a subscription';

CREATE FUNCTION enext(subscription text,
                      max_count integer DEFAULT 100,
                      wait interval DEFAULT '0',
                      after bigint DEFAULT NULL,
                      consumer text DEFAULT NULL)
    RETURNS SETOF sierra_event
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
    AS 'MODULE_PATHNAME', 'sierra_enext';
COMMENT ON FUNCTION enext(text, integer, interval, bigint, text) IS
    'returns the next events of a subscription, and waits for some if asked to';

CREATE FUNCTION sierra_internal.peek_subscription(store name, subscription text, max_count integer)
    RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 100
    AS 'MODULE_PATHNAME', 'sierra_peek';
COMMENT ON FUNCTION sierra_internal.peek_subscription(name, text, integer) IS
    'returns what a subscription in a store of this name would deliver next, without consuming';

CREATE FUNCTION epeek(subscription text, max_count integer DEFAULT 100)
    RETURNS SETOF sierra_event
    LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 100
BEGIN ATOMIC
    SELECT sierra_internal.require_public_subscription($1);
    SELECT * FROM sierra_internal.peek_subscription(sierra_internal.current_store(), $1, $2);
END;
COMMENT ON FUNCTION epeek(text, integer) IS
    'returns what a subscription would deliver next, without consuming';

CREATE FUNCTION eack(subscription text, cursor bigint, consumer text DEFAULT NULL)
    RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_eack';
COMMENT ON FUNCTION eack(text, bigint, text) IS
    'acknowledges the events of a subscription up to a global position, and returns its cursor';

CREATE FUNCTION enack(subscription text,
                      cursor bigint,
                      retry_after interval DEFAULT '1 second',
                      reason text DEFAULT NULL,
                      park boolean DEFAULT false,
                      consumer text DEFAULT NULL)
    RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_enack';
COMMENT ON FUNCTION enack(text, bigint, interval, text, boolean, text) IS
    'says that the event at a global position failed, and returns what becomes of it: retrying or parked';

CREATE FUNCTION sierra_internal.park_event(store name, subscription text, "position" bigint, reason text)
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_park_event';
COMMENT ON FUNCTION sierra_internal.park_event(name, text, bigint, text) IS
    'parks the event at a global position that a subscription failed at';

CREATE FUNCTION sierra_internal.await_subscription(subscription text, cursor bigint, timeout interval)
    RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_await_subscription';
COMMENT ON FUNCTION sierra_internal.await_subscription(text, bigint, interval) IS
    'does what ewait() does, for the subscription of a projection too';

CREATE FUNCTION ewait(subscription text, cursor bigint, timeout interval DEFAULT '10 seconds')
    RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_ewait';
COMMENT ON FUNCTION ewait(text, bigint, interval) IS
    'waits until a subscription has processed the event at a global position; false after the timeout';

CREATE FUNCTION ewait_head(cursor bigint, timeout interval DEFAULT '10 seconds')
    RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_ewait_head';
COMMENT ON FUNCTION ewait_head(bigint, interval) IS
    'waits until the store can be read beyond a global position; returns up to which position it can be read';
