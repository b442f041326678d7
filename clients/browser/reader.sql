-- Gives a role what the event browser needs to show a store, and nothing more.
--
-- psql -v role=event_browser -v store=es -f reader.sql shop
--
-- pg_monitor lets it collect lags at little cost, and see runners.  A role without it may still
-- use all pages; to note lags costs more then.
\set ON_ERROR_STOP on
SELECT :{?role} AND :{?store} AS complete \gset
\if :complete
\else
DO $$ BEGIN
    RAISE invalid_parameter_value USING
        MESSAGE = 'the variables "role" and "store" must be set',
        HINT = 'psql -v role=event_browser -v store=es -f reader.sql shop';
END $$;
\endif
GRANT USAGE ON SCHEMA :"store" TO :"role";
GRANT SELECT ON ALL TABLES IN SCHEMA :"store" TO :"role";
GRANT pg_monitor TO :"role";
ALTER ROLE :"role" SET default_transaction_read_only = on;
