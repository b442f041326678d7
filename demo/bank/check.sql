-- Checks the results that the demo has shown.
DO $$
BEGIN
    -- No money was created, and none is lost.
    ASSERT (SELECT sum((l.state->>'balance')::numeric)
              FROM unnest(ARRAY['alice', 'bob', 'carol']) AS a (id), eload('account', 'account-' || a.id) AS l)
           = (SELECT 1500 + sum(change) FROM transactions WHERE reason = 'cash'), 'money was made or lost';
    -- The tables equal the result of folding each stream.
    ASSERT (SELECT count(*) FROM accounts) = 3 AND NOT EXISTS (
        SELECT FROM accounts AS a, eload('account', 'account-' || a.account_id) AS l
         WHERE (a.owner, a.balance, a.status) IS DISTINCT FROM
               (l.state->>'owner', (l.state->>'balance')::numeric, l.state->>'status')), 'the tables are wrong';
    ASSERT (SELECT array_agg(status ORDER BY account_id) FROM accounts) = '{active,closed,closed}',
           'an account is open or closed that must not be';
    ASSERT (SELECT array_agg(status ORDER BY saga_id) FROM event_sagas()) = '{completed,compensated,compensated}',
           'a transfer ended as it must not';
    ASSERT (SELECT state->>'balance' FROM eload('account', 'account-alice')) = '900', 'Alice has the wrong balance';
    ASSERT NOT EXISTS (SELECT FROM everify()), 'the store is damaged';
END
$$;
