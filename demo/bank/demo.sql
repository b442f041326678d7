-- === A bank ===
--
-- setup.sql defines what an account is and what it refuses, and keeps tables of
-- accounts and transactions for queries (a projection).  Each command returns the
-- version of the account.

-- === Open accounts, pay in, withdraw ===
SELECT open_account('alice', 'Alice', 1000);
SELECT open_account('bob', 'Bob', 500);
SELECT deposit('alice', 250);
SELECT withdraw('alice', 100);
SELECT state->'balance' AS balance, version FROM eload('account', 'account-alice');

-- === A command that the bank refuses leaves no event ===
SELECT withdraw('alice', 1000000);
SELECT deposit('bob', -5);
SELECT deposit('nobody', 5);
SELECT close_account('bob');

-- === A transfer at once: two streams, one transaction ===
SELECT transfer_at_once('alice', 'bob', 50);
-- Carol's account is closed.  The deposit is refused, and the withdrawal is rolled back with it.
SELECT open_account('carol', 'Carol');
SELECT close_account('carol');
SELECT transfer_at_once('alice', 'carol', 50);
SELECT stream_version AS version, event_name, payload FROM escan('account-alice');

-- === A transfer in steps: a saga ===
-- If the other account is at another bank, one transaction cannot change both accounts.
-- So a saga does one step after the other: initiate, withdraw, deposit, complete.
SELECT transfer('1', 'alice', 'bob', 200);
-- Started twice, it is still one transfer, because the id is the same.
SELECT transfer('1', 'alice', 'bob', 200);
SELECT saga_id, status, step FROM event_sagas();
-- One step, and then another: the money is on its way.
SELECT run_sagas(2);
SELECT saga_id, status, step FROM event_sagas();
SELECT a.id, l.state FROM unnest(ARRAY['alice', 'bob']) AS a (id), eload('account', 'account-' || a.id) AS l;
-- The remaining steps.  (Runners, or a cron job, do this for you.)
SELECT run_sagas() \g /dev/null
SELECT saga_id, status FROM event_sagas();
SELECT a.id, l.state FROM unnest(ARRAY['alice', 'bob']) AS a (id), eload('account', 'account-' || a.id) AS l;

-- === A transfer that is refused half-way: compensation ===
SELECT transfer('2', 'alice', 'carol', 300);
SELECT run_sagas() \g /dev/null
SELECT saga_id, status, last_error FROM event_sagas() WHERE saga_id = 'transfer-2';
-- Nothing was deleted: the withdrawal is there, and so is the deposit that compensates it.
SELECT stream_version AS version, event_name, payload FROM escan('account-alice', from_version => 7);

-- === A transfer of more money than there is: refused before any money moved ===
SELECT transfer('3', 'bob', 'alice', 10000);
SELECT run_sagas() \g /dev/null
SELECT event_name, payload FROM escan('account-bob', from_version => 3);

-- === All events of one transfer, in all streams ===
SELECT stream_id, stream_version AS version, event_name
  FROM eall() WHERE metadata->>'correlation_id' = 'transfer-2';

-- === Close an account ===
SELECT close_account('bob');
SELECT state->'balance' AS balance FROM eload('account', 'account-bob') \gset
SELECT withdraw('bob', :balance);
SELECT close_account('bob');
SELECT deposit('bob', 1);

-- === The query side: tables, as of the last run of the projection ===
SELECT run_projections() \g /dev/null
SELECT * FROM accounts ORDER BY account_id;
-- (The initial balance of an account is not a transaction: 1000 for alice, 500 for bob.)
SELECT account_id, change, reason FROM transactions ORDER BY "position";
SELECT saga_id, saga, status, last_error FROM event_sagas() ORDER BY saga_id;
