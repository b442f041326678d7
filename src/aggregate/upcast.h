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
 * False if the store has no upcasters, because the table has no pages.  True
 * means that it may have some.  This only asks for the size of the table.
 */
extern bool sierra_upcasters_exist(const SierraStore *store);

/*
 * The upcasters of the store that the active snapshot sees, allocated in this
 * context; NULL if there are none.  Called between sierra_query_begin() and
 * sierra_query_end().
 */
extern SierraUpcasters *sierra_upcasters_load(const SierraStore *store, MemoryContext context);

/*
 * Converts an event, given as values in the order of sierra_event, with all
 * upcasters of its chain.  Payload and metadata are replaced by new values in
 * the current context.  Raises 42883, 42P13 or 42501 if an upcaster cannot be
 * called.
 */
extern void sierra_upcast(SierraUpcasters *upcasters, Datum *values, bool *nulls);

/* Upcasters that are kept for later calls, with the row type sierra_event. */
typedef struct SierraCachedUpcasters
{
	SierraUpcasters *upcasters; /* NULL: the store has none */
	TupleDesc desc;
} SierraCachedUpcasters;

typedef struct SierraUpcastersCache SierraUpcastersCache;

/*
 * The upcasters of a store.  They are looked up again only if the active
 * snapshot can see other rows of their table.  *cache is NULL at first; it is
 * allocated in this context, and the caller keeps it from one call to the next.
 */
extern const SierraCachedUpcasters *sierra_upcasters_find(SierraUpcastersCache **cache,
														  MemoryContext context,
														  const SierraStore *store, Oid event_type);

#endif /* SIERRA_UPCAST_H */
