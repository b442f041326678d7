\set after random(:first_position, :last_position - 1000) - 1
SELECT * FROM get_all_messages(:after + 1, 1000);
