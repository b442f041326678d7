-- An append leaves lastval() and currval() of the session alone: drivers ask for the key that they have just inserted
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 2);
SELECT count(*) FROM eappend('a', 'x');
SELECT lastval();
:sqlstate
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY (START 1000), note text);
INSERT INTO orders (note) VALUES ('first');
SELECT count(*) FROM eappend('a', 'x');
SELECT lastval();
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'b'], ARRAY['x', 'x']);
SELECT lastval();
SELECT currval('es.global_position');
:sqlstate
DISCARD SEQUENCES;
SELECT count(*) FROM eappend('a', 'x');
SELECT lastval();
:sqlstate
SELECT drop_event_store('es', force => true);
DROP TABLE orders;
