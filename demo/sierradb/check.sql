-- Checks the results that the demo has shown.
DO $$
BEGIN
    ASSERT (SELECT array_agg(event_name ORDER BY stream_version) FROM es.events WHERE stream_id LIKE 'order-%') =
           '{OrderCreated,ItemAdded,ItemAdded,ItemAdded,PaymentProcessed}', 'the order has other events';
    ASSERT (SELECT count(*) FROM escan('user-123')) = 5, 'the user has other events';
    ASSERT (SELECT count(DISTINCT partition_id) FROM es.events WHERE stream_id IN ('user-124', 'user-account-124')) = 1,
           'one key leads to two partitions';
    ASSERT NOT EXISTS (SELECT FROM everify('es')), 'the store is damaged';
END
$$;
