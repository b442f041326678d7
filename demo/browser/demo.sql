-- What the event browser shows: the bank and the orders of the other demos in one store, and
-- beside them consumers, timers, and things that went wrong.
\set ON_ERROR_STOP 1
\set QUIET 1
\o /dev/null
SET client_min_messages = error;

\ir ../bank/setup.sql
-- The orders go into the same store.
\! sed -e '/^CREATE EXTENSION/d' -e '/create_event_store/d' ../orders/setup.sql >orders.sql
\i orders.sql

-- Both demos as a person types them.  Some commands are refused: that is their story.
\! psql -X -q -f ../bank/demo.sql >bank.out 2>&1
\! sed -e '/client.py/d' -e '/screen/d' ../orders/demo.sql >orders-demo.sql
\! psql -X -q -f orders-demo.sql >orders.out 2>&1

SELECT create_trace_index();
SELECT open_account('dave', 'Dave', 100);

-- === A request, and what followed from it ===
SELECT eappend('checkout-7001', 'CheckoutRequested', '{"customer": "customer-789", "items": 3}',
               metadata => '{"correlation_id": "request-7001", "user": "ada"}', tags => ARRAY['customer:789', 'web']);
SELECT event_id AS request FROM escan('checkout-7001') \gset
SELECT eappend('payment-7001', 'PaymentAsked', '{"amount": 129.90}', tags => ARRAY['customer:789'],
               metadata => json_build_object('correlation_id', 'request-7001', 'causation_id', :'request'));
SELECT event_id AS payment FROM escan('payment-7001') \gset
SELECT eappend('payment-7001', 'PaymentReceived', '{"amount": 129.90, "method": "invoice"}', tags => ARRAY['customer:789'],
               metadata => json_build_object('correlation_id', 'request-7001', 'causation_id', :'payment'));
SELECT event_id AS received FROM escan('payment-7001', 1) \gset
SELECT eappend('mail-7001', 'ReceiptSent', '{"to": "ada@example.org", "lines": ["Thank you", "129.90 were received"]}',
               metadata => json_build_object('correlation_id', 'request-7001', 'causation_id', :'received'));
SELECT eappend('shipment-7001', 'ShipmentPlanned', '{"from": "Leipzig", "parcels": [{"kg": 2.40}, {"kg": 0.75}]}',
               metadata => json_build_object('correlation_id', 'request-7001', 'causation_id', :'received'));
SELECT eappend('stock-lamp', 'StockReserved', '{"count": 3, "for": "checkout-7001"}',
               metadata => json_build_object('correlation_id', 'request-7001', 'causation_id', :'request'));
-- A scan of a label: bytes, not JSON.
SELECT eappend('shipment-7001', 'LabelScanned', payload_bytes => decode('89504e470d0a1a0a0000000d4948445200000010000000100806', 'hex'));

-- === Consumers: one that is up to date, one that is behind, a group, and failures ===
SELECT esub('mails', streams => ARRAY['order-*', 'checkout-*'], start_from => 'earliest');
SELECT eack('mails', max(global_position)) FROM enext('mails');
SELECT esub('reports', start_from => 'earliest');
SELECT esub('ledger', streams => ARRAY['account-*'], start_from => 'earliest');
SELECT count(*) FROM enext('ledger', consumer => 'worker-1');
SELECT count(*) FROM enext('ledger', consumer => 'worker-2');
SELECT esub('warehouse', streams => ARRAY['order-*', 'shipment-*'], start_from => 'earliest', max_attempts => 3);
SELECT count(*) FROM enext('warehouse');
SELECT enack('warehouse', (SELECT global_position FROM escan('order-1001', 1, 1)),
             reason => E'the warehouse does not know the item "laptop"\nasked twice', park => true);
SELECT enack('warehouse', (SELECT global_position FROM escan('shipment-7001', 0, 0)),
             retry_after => '1 hour', reason => 'no answer from Leipzig');

-- === A projection that fails, and one that is paused ===
CREATE FUNCTION count_payments(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF e.event_name = 'PaymentReceived' THEN
        RAISE 'no account for payments by %', e.payload->>'method';
    END IF;
    RETURN state || jsonb_build_object('asked', coalesce((state->>'asked')::int, 0) + 1);
END $$;
SELECT create_projection('payments', 'count_payments(jsonb, sierra_event)', streams => ARRAY['payment-*'],
                         key => $$'all'$$, max_attempts => 1);
SELECT create_projection('names', 'apply_account(jsonb, sierra_event)', streams => ARRAY['account-*']);
SELECT pause_projection('names');

-- === Sagas: one waits for a person, one is stuck ===
CREATE FUNCTION ask_manager(data jsonb) RETURNS void LANGUAGE sql AS
    $$ SELECT FROM eappend('inbox-manager', 'ApprovalAsked', data) $$;
CREATE FUNCTION pay_out(data jsonb) RETURNS void LANGUAGE sql AS
    $$ SELECT FROM eappend('cash', 'PaidOut', data) $$;
CREATE FUNCTION book_hotel(data jsonb) RETURNS void LANGUAGE sql AS
    $$ SELECT FROM eappend('hotel-5', 'RoomBooked', data) $$;
CREATE FUNCTION free_room(data jsonb) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'the hotel does not answer' USING ERRCODE = 'P0002'; END $$;
CREATE FUNCTION book_flight(data jsonb) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'the flight is full'; END $$;
SELECT create_saga('loan', ARRAY[
    saga_step('reserve', 'pay_out'),
    saga_step('approval', 'ask_manager', waits => true, timeout => '2 days'),
    saga_step('pay', 'pay_out')]);
SELECT create_saga('journey', ARRAY[
    saga_step('hotel', 'book_hotel', compensation => 'free_room', max_attempts => 1),
    saga_step('flight', 'book_flight'),
    saga_step('ticket', 'book_flight')]);
SELECT start_saga('loan', '{"customer": "ada", "amount": 5000}', 'loan-1');
SELECT start_saga('journey', '{"to": "Lisbon", "nights": 4}', 'journey-1');

-- === Timers ===
SELECT eschedule(now() + interval '3 days', 'order-1001', 'RatingAsked', '{"by": "mail"}');
SELECT eschedule(now() + interval '1 hour', 'checkout-7001', 'CheckoutExpired');

-- === Roles of the browser: one that reads, one that may also press buttons ===
CREATE ROLE event_browser LOGIN;
CREATE ROLE event_operator LOGIN;
\set store es
\set role event_browser
\ir ../../clients/browser/reader.sql
\set role event_operator
\ir ../../clients/browser/operator.sql
SELECT run_sagas();
SELECT run_projections();
