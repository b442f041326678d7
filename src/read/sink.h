/*
 * sink.h
 *		A sink: where a read puts its events.
 */
#ifndef SIERRA_SINK_H
#define SIERRA_SINK_H

#include "executor/tuptable.h"

typedef struct SierraSink SierraSink;

struct SierraSink
{
	/* Takes the event in the slot (columns as in event.h); false: needs no more events. */
	bool (*put)(SierraSink *sink, TupleTableSlot *slot);
};

#endif /* SIERRA_SINK_H */
