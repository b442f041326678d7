\set i :i + 1
\set after :first_position - 1 + (:i * 1000) % (:last_position - :first_position - 1000)
SELECT * FROM get_category_messages('order', :after + 1, 1000);
