-- An acknowledgement that is repeated because its answer was lost has no effect: not on other
-- streams either, when it was about a diverted stream.
SELECT create_event_store('ack_again', 4);
SET sierra_es.store = 'ack_again';
SELECT e.global_position FROM eappend('a', 'First') AS e;
SELECT e.global_position FROM eappend('b', 'First') AS e;
SELECT e.global_position FROM eappend('a', 'Second') AS e;
SELECT esub('one', start_from => 'earliest');

-- The stream is diverted: 0 failed, 1 was not processed.
SELECT global_position, stream_id FROM enext('one');
SELECT enack('one', 0, retry_after => '0');
SELECT global_position, stream_id FROM enext('one');
SELECT eack('one', 2);
SELECT eack('one', 2) AS again;
SELECT global_position, stream_id FROM enext('one');
SELECT eack('one', 2) AS again_when_level;
SELECT global_position, stream_id FROM enext('one');
SELECT eack('one', 1);
SELECT global_position, stream_id FROM enext('one');

-- Events that were taken back in the meantime cannot be acknowledged.
SELECT esub('two', start_from => 'earliest');
SELECT global_position, stream_id FROM enext('two');
SELECT enack('two', 0, retry_after => '0');
SELECT global_position, stream_id FROM enext('two');
SELECT eretry('two');
SELECT eack('two', 2);
SELECT global_position, stream_id FROM enext('two');
SELECT eskip('two', 'a');
SELECT eack('two', 0) AS skipped;
SELECT eack('two', 2);
SELECT global_position, stream_id FROM enext('two');

-- The same in a group.
SELECT esub('group', start_from => 'earliest');
SELECT count(*) FROM enext('group', consumer => 'x');
SELECT global_position, stream_id FROM enext('group', consumer => 'x');
SELECT enack('group', 0, retry_after => '0', consumer => 'x');
SELECT global_position, stream_id FROM enext('group', consumer => 'x');
SELECT eack('group', 2, 'x');
SELECT eack('group', 2, 'x') AS again;
SELECT global_position, stream_id FROM enext('group', consumer => 'x');

SELECT drop_event_store('ack_again', force => true);
