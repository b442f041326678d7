-- A customer a second, for the event browser to show: psql runs it again and again.
SELECT floor(random() * 900 + 2000)::int AS id, now() AS at \gset
SELECT deposit(CASE WHEN random() < 0.5 THEN 'alice' ELSE 'dave' END, (floor(random() * 90) + 10)::numeric, 'salary');
SELECT create_order(:'id', 'customer-' || floor(random() * 50)::int) WHERE esver('order-' || :'id') IS NULL;
SELECT add_item(:'id', (ARRAY['lamp', 'desk', 'chair', 'cable'])[1 + floor(random() * 4)::int],
                1 + floor(random() * 3)::int, (floor(random() * 200) + 5)::numeric)
 WHERE (SELECT state->>'status' FROM eload('order', 'order-' || :'id')) = 'created';
SELECT pay_order(:'id', 'credit_card')
 WHERE random() < 0.4 AND (SELECT state->>'status' FROM eload('order', 'order-' || :'id')) = 'created';
-- The consumer of mails keeps up; the one of reports is slow.
SELECT eack('mails', max(global_position)) FROM enext('mails') HAVING count(*) > 0;
SELECT eack('reports', max(global_position)) FROM enext('reports', max_count => 8) HAVING count(*) > 0 AND random() < 0.5;
SELECT pg_sleep(1.2);
