\set from_sequence random(0, :partition_events - 1000)
SELECT * FROM epscan(:partition, :from_sequence, NULL, 1000);
