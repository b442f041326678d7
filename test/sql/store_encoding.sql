-- A store needs a database in UTF-8: bounds, patterns and JSON are about UTF-8 bytes.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT current_database() AS here \gset
CREATE DATABASE regress_sierra_latin1 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
CREATE DATABASE regress_sierra_ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
\c regress_sierra_latin1
\set SHOW_CONTEXT never
CREATE EXTENSION sierra_es;
SELECT create_event_store();
:sqlstate
SELECT to_regnamespace('es') IS NULL AS nothing_left;
\c regress_sierra_ascii
\set SHOW_CONTEXT never
CREATE EXTENSION sierra_es;
SELECT create_event_store();
:sqlstate
\c :here
DROP DATABASE regress_sierra_latin1;
DROP DATABASE regress_sierra_ascii;
