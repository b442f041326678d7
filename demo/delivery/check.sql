-- Checks the results that the demo has shown.
DO $$
BEGIN
    ASSERT (SELECT array_agg((key, state->>'status', state->>'delivery_code')::text ORDER BY key)
              FROM estates('delivery-status')) = '{"(A,done,42)","(B,placed,07)","(C,placed,99)"}', 'orders are wrong';
    ASSERT (SELECT jsonb_object_agg(key, state->'orders') FROM estates('user-orders')) =
           '{"7": ["A", "C"], "8": ["B"]}', 'users are wrong';
    ASSERT (SELECT state FROM estates('payments')) = '{"PaymentFailed": 1, "PaymentConfirmed": 1}', 'payments are wrong';
    ASSERT ewait_projection('user-orders', ehead(), '10 seconds'), 'a projection is behind';
    -- Everything is handled: eproject() returns the stored state.
    ASSERT NOT EXISTS (SELECT FROM estates('delivery-status') AS s
                        WHERE s.state IS DISTINCT FROM eproject('delivery-status', s.key)), 'states differ';
    ASSERT NOT EXISTS (SELECT FROM everify()), 'the store is damaged';
END
$$;
