-- What the consumer does again and again: one transaction.
BEGIN;
SELECT update_summary(wait => '5 seconds') \g /dev/null
COMMIT;
