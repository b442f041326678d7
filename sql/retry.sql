-- ---------------------------------------------------------------------------
-- What is tried again, and when.
--
-- A failed attempt is counted, and the next one comes after a pause.  Projections,
-- sagas and timers end, park or keep what has failed too often.  An interruption is
-- a transient error, which says nothing about the work: it is not an attempt, and
-- has pauses of its own.  docs/runners.md has this rule for users.
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_internal.is_transient_error(sqlstate text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_is_transient_error';
COMMENT ON FUNCTION sierra_internal.is_transient_error(text) IS
    'returns whether a SQLSTATE says nothing about the work that it interrupted; see src/base/transient.c';

-- In these isolation levels, the same transaction would see the same error again.
CREATE FUNCTION sierra_internal.must_repeat_transaction(sqlstate text) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
RETURN left(sqlstate, 2) = '40' AND current_setting('transaction_isolation') <> 'read committed';
COMMENT ON FUNCTION sierra_internal.must_repeat_transaction(text) IS
    'returns whether the caller has to repeat the transaction because of an error with this SQLSTATE';

-- It doubles, up to an hour or up to a retry_after that is longer.
CREATE FUNCTION sierra_internal.retry_pause(attempts integer, retry_after interval) RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN least(retry_after * 2 ^ least(greatest(attempts, 1) - 1, 20),
             greatest(retry_after, interval '1 hour'));
COMMENT ON FUNCTION sierra_internal.retry_pause(integer, interval) IS
    'returns the pause after this number of failed attempts';

-- The first pause is short: one deadlock must not slow the work down.  The longest is
-- too: when the disk is no longer full, the work continues.
CREATE FUNCTION sierra_internal.interruption_pause(interruptions integer) RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN least(sierra_internal.retry_pause(interruptions, interval '100 milliseconds'), interval '1 minute');
COMMENT ON FUNCTION sierra_internal.interruption_pause(integer) IS
    'returns the pause after this number of interruptions in a row';
