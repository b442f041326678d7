#!/bin/sh
# Starts the consumer, a psql process in the background, and prints its process id.
export PGOPTIONS="-c demo.work=0.02" PGAPPNAME=consumer
yes '\i consumer.sql' 2>/dev/null | psql -X -q -v ON_ERROR_STOP=1 >/dev/null 2>&1 &
echo $!
