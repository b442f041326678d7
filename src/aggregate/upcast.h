/*
 * upcast.h
 *		Upcasters: old events in the form that today's code knows.
 */
#ifndef SIERRA_UPCAST_H
#define SIERRA_UPCAST_H

#include "store/store.h"

#include "access/tupdesc.h"

typedef struct SierraUpcasters SierraUpcasters;

/*
 * False if the store surely has no upcasters: the table is empty, or missing.
 * Costs next to nothing.
 */
extern bool sierra_upcasters_exist(const SierraStore *store);

/*
 * The upcasters of the store as the active snapshot sees them, in this context;
 * NULL if there are none.  To be called between sierra_query_begin() and _end().
 */
extern SierraUpcasters *sierra_upcasters_load(const SierraStore *store, MemoryContext context);

/*
 * Takes an event, as values in the order of sierra_event, as far as its
 * upcasters go: payload and metadata become new values in the current context.
 */
extern void sierra_upcast(SierraUpcasters *upcasters, Datum *values, bool *nulls);

/* Upcasters that a call found for later calls, with the row type sierra_event. */
typedef struct SierraCachedUpcasters
{
	SierraUpcasters *upcasters; /* NULL: the store has none */
	TupleDesc desc;
} SierraCachedUpcasters;

typedef struct SierraUpcastersCache SierraUpcastersCache;

/*
 * The upcasters of a store; looked up again only when the active snapshot can see
 * other rows of their table.  *cache begins as NULL and is kept, in this context,
 * from one call to the next.
 */
extern const SierraCachedUpcasters *sierra_upcasters_find(SierraUpcastersCache **cache,
														  MemoryContext context,
														  const SierraStore *store, Oid event_type);

#endif /* SIERRA_UPCAST_H */
