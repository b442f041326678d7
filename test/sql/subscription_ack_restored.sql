-- Rows can be loaded without the sequence of positions, which is then behind them until the next
-- append.  Delivered events can be acknowledged all the same.
SELECT create_event_store('ack_restored', 4);
SET sierra_es.store = 'ack_restored';
SELECT (eappend('a', 'E')).global_position FROM generate_series(1, 3);
SELECT setval('ack_restored.global_position', 0, false);
SELECT esub('s', start_from => 'earliest');
SELECT global_position FROM enext('s');
SELECT eack('s', 3) AS not_there;
SELECT eack('s', 2);
SELECT eack('s', 3) AS still_not_there;
SELECT drop_event_store('ack_restored', force => true);
