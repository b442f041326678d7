-- Aggregates over the events, and a subscription for each size of a page.
\ir setup-sierra-derived.sql
SELECT esub('bench-100', start_from => 'earliest'), esub('bench-1000', start_from => 'earliest');
