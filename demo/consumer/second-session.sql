-- The other session of the demo: it changes the order between two steps of the first.
\set ON_ERROR_STOP on
\getenv order_id ORDER_ID
SELECT add_item(:'order_id', 'usb hub', 1, 49.99, esver('order-' || :'order_id')) AS version \gset
\echo session 2 adds a usb hub at version :version
