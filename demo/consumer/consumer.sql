-- The consumer runs this transaction again and again.
BEGIN;
SELECT update_summary(wait => '5 seconds') \g /dev/null
COMMIT;
