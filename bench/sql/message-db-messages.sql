\set after random(:first_position, :last_position - 1000) - 1
SELECT id::varchar, stream_name::varchar, type::varchar, position::bigint, global_position::bigint, data::varchar,
       metadata::varchar, time::timestamp
  FROM messages WHERE global_position > :after ORDER BY global_position LIMIT 1000;
