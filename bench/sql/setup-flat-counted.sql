-- How far a reader has come.
CREATE TABLE cursors (name text PRIMARY KEY, position bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO cursors VALUES ('bench-100', -1), ('bench-1000', -1);
