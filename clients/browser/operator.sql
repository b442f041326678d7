-- Gives a role also what the buttons of the event browser need (--allow-changes): retry, skip,
-- pause, resume.  INSERT on events is for sagas: what an operator does is in their streams.
--
-- psql -v role=event_operator -v store=es -f operator.sql shop
--
-- reader.sql checks that both variables are set.
\set ON_ERROR_STOP on
\ir reader.sql
GRANT INSERT, UPDATE, DELETE ON :"store".subscription_streams TO :"role";
GRANT UPDATE ON :"store".subscription_cursors, :"store".projections, :"store".saga_instances TO :"role";
GRANT INSERT ON :"store".events TO :"role";
GRANT INSERT, UPDATE, DELETE ON :"store".timers TO :"role";
