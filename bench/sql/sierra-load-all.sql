SELECT * FROM eload('none', 'order-0');
