SELECT * FROM eload('snapshots', 'order-0');
