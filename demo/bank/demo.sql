-- === A bank ===
--
-- setup.sql says what an account is, what it refuses, and keeps tables of accounts
-- and transactions for queries (a projection).  Each command returns the version
-- of the account.

-- === Open accounts, pay in, withdraw ===
SELECT open_account('alice', 'Alice', 1000);
SELECT open_account('bob', 'Bob', 500);
SELECT deposit('alice', 250);
SELECT withdraw('alice', 100);
SELECT state->'balance' AS balance, version FROM eload('account', 'account-alice');

-- === What the bank refuses leaves no event ===
SELECT withdraw('alice', 1000000);
SELECT deposit('bob', -5);
SELECT deposit('nobody', 5);
SELECT close_account('bob');

-- === A transfer at once: two streams, one transaction ===
SELECT transfer_at_once('alice', 'bob', 50);
-- Carol's account is closed.  The deposit is refused, and the withdrawal is undone with it.
SELECT open_account('carol', 'Carol');
SELECT close_account('carol');
SELECT transfer_at_once('alice', 'carol', 50);
SELECT stream_version AS version, event_name, payload FROM escan('account-alice');

-- === Close an account ===
SELECT close_account('bob');
SELECT state->'balance' AS balance FROM eload('account', 'account-bob') \gset
SELECT withdraw('bob', :balance);
SELECT close_account('bob');
SELECT deposit('bob', 1);

-- === The query side: tables, as of the last run of the projection ===
SELECT run_projections() \g /dev/null
SELECT * FROM accounts ORDER BY account_id;
SELECT account_id, change, reason FROM transactions ORDER BY "position";
