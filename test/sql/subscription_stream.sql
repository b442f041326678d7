-- esub(), enext(), eack(), eunsub(): a subscription to streams and event names
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM emappend(NULL,
    ARRAY['order-1', 'order-2', 'cart-1', 'order-1', 'cart-1', 'order-10', 'Order-1', 'order-1'],
    ARRAY['Placed', 'Placed', 'Opened', 'Paid', 'Closed', 'Placed', 'Placed', 'Shipped']);
CREATE FUNCTION next(subscription text, max_count int DEFAULT 100) RETURNS text LANGUAGE sql AS
    $$ SELECT string_agg(format('%s:%s/%s', global_position, stream_id, stream_version), ' ') FROM enext($1, $2) $$;

-- Making one returns its acknowledged cursor: the events after it are delivered.
SELECT esub('everything', start_from => 'earliest');
SELECT next('everything');
-- All columns are those of the event.
SELECT count(*) AS same FROM enext('everything') AS n JOIN eall() AS e ON (n.*)::text = (e.*)::text;
-- exact ids, patterns, event names, and both
SELECT esub('one', ARRAY['order-1'], start_from => 'earliest');
SELECT next('one');
SELECT esub('orders', ARRAY['order-*'], start_from => 'earliest');
SELECT next('orders');
SELECT esub('some', ARRAY['cart-*', 'order-2', '*-10'], start_from => 'earliest');
SELECT next('some');
SELECT esub('placed', event_names => ARRAY['Placed', 'Shipped'], start_from => 'earliest');
SELECT next('placed');
SELECT esub('orders placed', ARRAY['order-*'], ARRAY['Placed'], 'earliest');
SELECT next('orders placed');
-- An empty list matches nothing, null matches everything.
SELECT esub('no stream', ARRAY[]::text[], start_from => 'earliest');
SELECT next('no stream');
SELECT esub('no name', event_names => ARRAY[]::text[], start_from => 'earliest');
SELECT next('no name');
SELECT esub('nothing like it', ARRAY['invoice-*'], start_from => 'earliest');
SELECT next('nothing like it');

-- A call records nothing: it returns the same until it is acknowledged.
SELECT next('orders', 2) UNION ALL SELECT next('orders', 2);
SELECT next('orders', 3);
SELECT eack('orders', 1);
SELECT next('orders', 2);
SELECT eack('orders', 5);
SELECT next('orders', 2);
SELECT eack('orders', 7);
SELECT next('orders') IS NULL AS caught_up;
SELECT count(*) FROM eappend('order-1', 'Returned');
SELECT next('orders');
-- Each subscription has a cursor of its own.
SELECT subscription, cursor FROM es.subscription_cursors ORDER BY 1;

-- The order is that of the whole store, whatever the partitions are; another session continues in
-- the same way.
SELECT bool_and(step > 0) AS rising, count(*) FROM
    (SELECT global_position - lag(global_position, 1, -1::bigint) OVER (ORDER BY n) AS step
       FROM (SELECT row_number() OVER () AS n, global_position FROM enext('everything')) AS o) AS s;
\c -
\set SHOW_CONTEXT never
SELECT next('orders');

-- The same definition again changes nothing and returns the cursor, so an application calls it at each start.
SELECT esub('orders', ARRAY['order-*'], start_from => 'earliest');
SELECT esub('orders', ARRAY['order-*']);
SELECT next('orders');
SELECT count(*) FROM es.subscriptions WHERE subscription = 'orders';
-- another definition
SELECT esub('orders');
:sqlstate
SELECT esub('orders', ARRAY['order-*', 'cart-*']);
:sqlstate
SELECT esub('orders', ARRAY['order-*'], ARRAY['Placed']);
:sqlstate
SELECT esub('orders', ARRAY['order-*'], window_size => 999);
:sqlstate
SELECT esub('orders', ARRAY['order-*'], lease_time => '31 seconds');
:sqlstate
SELECT esub('orders', ARRAY['order-*'], max_attempts => 6);
:sqlstate
SELECT epsub('orders');
:sqlstate
SELECT next('orders');
-- what is stored of it
SELECT streams, event_names, partitions, start_after, start_sequences, start_streams, start_versions, window_size, lease_time, max_attempts
  FROM es.subscriptions WHERE subscription = 'orders placed';

-- Names are compared byte by byte; all text except control characters is allowed.
SELECT esub(name, ARRAY['order-2'], start_from => 'earliest'), next(name)
  FROM unnest(ARRAY['Orders', 'orders ', 'a "b" ''c'' %s %I', repeat('s', 255), 'Bücher', '*']) AS name;

-- A dropped subscription is removed with everything that was stored for it, and can be made again.
SELECT eunsub('orders');
SELECT next('orders');
:sqlstate
SELECT count(*) FROM es.subscription_cursors WHERE subscription = 'orders';
SELECT esub('orders', ARRAY['cart-*'], start_from => 'earliest');
SELECT next('orders');
-- When a transaction that made or dropped one rolls back, so does that.
BEGIN;
SELECT eunsub('orders');
ROLLBACK;
SELECT next('orders');
BEGIN;
SELECT esub('brief');
ROLLBACK;
SELECT next('brief');
:sqlstate
BEGIN;
SELECT next('orders', 1);
SELECT eack('orders', 2);
ROLLBACK;
SELECT next('orders');

-- A transaction consumes its own events too.
BEGIN;
SELECT eack('orders', 4);
SELECT stream_version FROM eappend('cart-1', 'Reopened');
SELECT next('orders');
ROLLBACK;

DROP FUNCTION next;
SELECT drop_event_store('es', force => true);
