-- A bank: accounts and transfers, the commands for them, and tables for queries.

CREATE EXTENSION sierra_es;
SELECT create_event_store() \g /dev/null

-- ---------------------------------------------------------------------------
-- The aggregate: an account
-- ---------------------------------------------------------------------------

CREATE FUNCTION apply_account(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    data constant jsonb := e.payload;
    balance constant numeric := state->'balance';
BEGIN
    RETURN CASE e.event_name
        WHEN 'AccountOpened' THEN jsonb_build_object('status', 'active', 'owner', data->'owner',
                                                     'balance', data->'initial_balance')
        WHEN 'MoneyDeposited' THEN state || jsonb_build_object('balance', balance + (data->'amount')::numeric)
        WHEN 'MoneyWithdrawn' THEN state || jsonb_build_object('balance', balance - (data->'amount')::numeric)
        WHEN 'TransferInitiated' THEN state || jsonb_build_object('pending_transfer', data->'transfer_id')
        WHEN 'TransferCompleted' THEN state - 'pending_transfer'
        WHEN 'TransferFailed' THEN state - 'pending_transfer'
        WHEN 'AccountClosed' THEN state || '{"status": "closed"}'
        ELSE state
    END;
END
$$;

SELECT create_aggregate('account', 'apply_account(jsonb, sierra_event)') \g /dev/null

-- ---------------------------------------------------------------------------
-- Commands
-- ---------------------------------------------------------------------------

-- What an account refuses, whatever called the command.
CREATE FUNCTION check_account(state jsonb, wish text, amount numeric) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF coalesce(state->>'status', 'missing') <> (CASE wish WHEN 'AccountOpened' THEN 'missing' ELSE 'active' END) THEN
        RAISE 'the account is %', coalesce(state->>'status', 'missing');
    ELSIF amount <= 0 THEN
        RAISE 'the amount must be positive';
    ELSIF wish = 'MoneyWithdrawn' AND amount > (state->'balance')::numeric THEN
        RAISE 'insufficient funds' USING DETAIL = format('The balance is %s.', state->'balance');
    ELSIF wish = 'AccountClosed' AND (state->'balance')::numeric <> 0 THEN
        RAISE 'the balance must be 0 to close the account' USING DETAIL = format('It is %s.', state->'balance');
    ELSIF wish IN ('AccountClosed', 'TransferInitiated') AND state ? 'pending_transfer' THEN
        RAISE 'a transfer is on its way' USING DETAIL = format('It is %s.', state->>'pending_transfer');
    END IF;
END
$$;

-- Here a command has the name of the event that it becomes, if it is not refused.
CREATE FUNCTION decide_account(state jsonb, command jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    PERFORM check_account(state, command->>'event_name', (command->'payload'->'amount')::numeric);
    RETURN jsonb_build_array(command);
END
$$;

CREATE FUNCTION command_account(account_id text, event_name text, data jsonb) RETURNS bigint
    LANGUAGE sql
    RETURN (SELECT max(stream_version)
              FROM edecide('account', 'account-' || account_id, 'decide_account(jsonb, jsonb)',
                           jsonb_build_object('event_name', event_name, 'payload', data)));

CREATE FUNCTION open_account(account_id text, owner text, initial_balance numeric DEFAULT 0) RETURNS bigint
    LANGUAGE sql
    RETURN command_account(account_id, 'AccountOpened',
                           jsonb_build_object('owner', owner, 'initial_balance', initial_balance));

CREATE FUNCTION deposit(account_id text, amount numeric, reason text DEFAULT 'cash') RETURNS bigint
    LANGUAGE sql
    RETURN command_account(account_id, 'MoneyDeposited', jsonb_build_object('amount', amount, 'reason', reason));

CREATE FUNCTION withdraw(account_id text, amount numeric, reason text DEFAULT 'cash') RETURNS bigint
    LANGUAGE sql
    RETURN command_account(account_id, 'MoneyWithdrawn', jsonb_build_object('amount', amount, 'reason', reason));

CREATE FUNCTION close_account(account_id text) RETURNS bigint
    LANGUAGE sql
    RETURN command_account(account_id, 'AccountClosed', '{}');

-- ---------------------------------------------------------------------------
-- A transfer in one transaction: withdraw and deposit, or neither
-- ---------------------------------------------------------------------------

-- Two transfers in opposite directions at the same time can deadlock.  Then PostgreSQL
-- ends one of them with 40P01, and the client has to repeat it.
CREATE FUNCTION transfer_at_once(from_account text, to_account text, amount numeric) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM withdraw(from_account, amount, 'transfer to ' || to_account);
    PERFORM deposit(to_account, amount, 'transfer from ' || from_account);
END
$$;

-- ---------------------------------------------------------------------------
-- A transfer as a saga: each step is a transaction, and another one compensates it
-- ---------------------------------------------------------------------------

-- Actions take the data of the saga, {"from": ..., "to": ..., "amount": ...}, and its id.
-- An error raised by RAISE (P0001) is a refusal: the steps before it are compensated.
CREATE FUNCTION transfer_initiate(data jsonb, saga_id text) RETURNS void
    LANGUAGE sql
AS $$ SELECT command_account(data->>'from', 'TransferInitiated', jsonb_build_object('transfer_id', saga_id)) $$;

CREATE FUNCTION transfer_fail(data jsonb, saga_id text) RETURNS void
    LANGUAGE sql
AS $$ SELECT command_account(data->>'from', 'TransferFailed', jsonb_build_object('transfer_id', saga_id)) $$;

CREATE FUNCTION transfer_withdraw(data jsonb, saga_id text) RETURNS void
    LANGUAGE sql
AS $$ SELECT withdraw(data->>'from', (data->'amount')::numeric, saga_id) $$;

CREATE FUNCTION transfer_pay_back(data jsonb, saga_id text) RETURNS void
    LANGUAGE sql
AS $$ SELECT deposit(data->>'from', (data->'amount')::numeric, 'compensation of ' || saga_id) $$;

CREATE FUNCTION transfer_deposit(data jsonb, saga_id text) RETURNS void
    LANGUAGE sql
AS $$ SELECT deposit(data->>'to', (data->'amount')::numeric, saga_id) $$;

CREATE FUNCTION transfer_complete(data jsonb, saga_id text) RETURNS void
    LANGUAGE sql
AS $$ SELECT command_account(data->>'from', 'TransferCompleted', jsonb_build_object('transfer_id', saga_id)) $$;

SELECT create_saga('transfer', ARRAY[
    saga_step('initiate', 'transfer_initiate(jsonb, text)', 'transfer_fail(jsonb, text)'),
    saga_step('withdraw', 'transfer_withdraw(jsonb, text)', 'transfer_pay_back(jsonb, text)'),
    saga_step('deposit', 'transfer_deposit(jsonb, text)'),
    saga_step('complete', 'transfer_complete(jsonb, text)')]) \g /dev/null

-- The id makes a repetition harmless: the same transfer is started once.
CREATE FUNCTION transfer(transfer_id text, from_account text, to_account text, amount numeric) RETURNS text
    LANGUAGE sql
    RETURN start_saga('transfer', jsonb_build_object('from', from_account, 'to', to_account, 'amount', amount),
                      saga_id => 'transfer-' || transfer_id);

-- ---------------------------------------------------------------------------
-- The query side: accounts and transactions
-- ---------------------------------------------------------------------------

CREATE TABLE accounts (
    account_id text PRIMARY KEY,
    owner      text NOT NULL,
    balance    numeric NOT NULL,
    status     text NOT NULL DEFAULT 'active'
);

-- The initial balance is not in this table: a balance is the initial balance plus the changes.
CREATE TABLE transactions (
    "position" bigint PRIMARY KEY,
    account_id text NOT NULL,
    change     numeric NOT NULL,
    reason     text
);

CREATE FUNCTION keep_accounts(e sierra_event) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    id constant text := substr(e.stream_id, length('account-') + 1);
    change numeric := (e.payload->>'amount')::numeric;
BEGIN
    IF e.event_name = 'AccountOpened' THEN
        INSERT INTO accounts VALUES (id, e.payload->>'owner', (e.payload->>'initial_balance')::numeric);
    ELSIF e.event_name = 'AccountClosed' THEN
        UPDATE accounts SET status = 'closed' WHERE account_id = id;
    ELSE
        change := CASE e.event_name WHEN 'MoneyWithdrawn' THEN -change ELSE change END;
        UPDATE accounts SET balance = balance + change WHERE account_id = id;
        INSERT INTO transactions VALUES (e.global_position, id, change, e.payload->>'reason');
    END IF;
END
$$;

SELECT create_projection('accounts', 'keep_accounts(sierra_event)',
    event_names => ARRAY['AccountOpened', 'MoneyDeposited', 'MoneyWithdrawn', 'AccountClosed']) \g /dev/null
