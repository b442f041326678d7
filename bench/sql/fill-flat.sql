\ir fill-bare.sql
