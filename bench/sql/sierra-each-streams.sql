\set i :i + 1
\set n (:run * 1000 + :client_id) * 1000000 + :i
SELECT count(*) FROM eappend_each(replace(:streams_of_n, 'N', :n)::text[], :names, :payloads, :metadatas);
