\set n random(0, :streams - 1)
SELECT * FROM equery('[{"tags": ["customer-' || :n || '"]}]');
