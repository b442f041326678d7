-- The tables that Emmett's projections write; the first is as Pongo makes it.
CREATE TABLE bench_rows (position bigint PRIMARY KEY, stream_id text NOT NULL, product text);
CREATE TABLE bench_states (_id text PRIMARY KEY, data jsonb NOT NULL, metadata jsonb NOT NULL DEFAULT '{}',
    _version bigint NOT NULL DEFAULT 1, _partition text NOT NULL DEFAULT 'png_global', _archived boolean NOT NULL DEFAULT false,
    _created timestamptz NOT NULL DEFAULT now(), _updated timestamptz NOT NULL DEFAULT now());
