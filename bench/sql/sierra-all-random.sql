\set after random(:first_position, :last_position - 1000) - 1
SELECT * FROM eall(:after, 1000);
