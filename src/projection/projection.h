/*
 * projection.h
 *		Projections: what a handler makes of the events of a subscription.
 *
 * A projection is rows of ordinary tables of its store:
 *		projections			a row for each version: the handler, how it is run, how it
 *							goes.  One version is live; a second one is being built.
 *		projection_states	for folds: the states, by version and key
 *
 * What the owner of a projection wrote (handler, expression of the key) runs
 * with the owner's rights and in the owner's search_path, between
 * sierra_projection_enter() and sierra_projection_leave().
 */
#ifndef SIERRA_PROJECTION_H
#define SIERRA_PROJECTION_H

#include "fmgr.h"

#include "aggregate/upcast.h"
#include "read/filter.h"
#include "store/run_as.h"
#include "store/store.h"

#include "access/tupdesc.h"

typedef enum SierraProjectionKind
{
	SIERRA_HANDLES_EVENT, /* handler(sierra_event) */
	SIERRA_HANDLES_BATCH, /* handler(sierra_event[]) */
	SIERRA_FOLDS,		  /* handler(jsonb, sierra_event) returns jsonb */
	SIERRA_MANAGES		  /* the same, and has effects: a process manager */
} SierraProjectionKind;

typedef struct SierraProjection
{
	SierraStore *store;
	text *name;
	int32 version;
	Oid owner;
	SierraProjectionKind kind;
	char *procedure; /* the handler as regprocedure writes it */
	char *key;		 /* an SQL expression over e, or NULL: the stream id */
	Datum initial;	 /* jsonb, where a fold begins */
	bool initial_null;
	SierraFilter streams;
	SierraFilter event_names;
	char *search_path;
	text *subscription; /* NULL: the events come from the appending transaction */
	int32 batch_size;
	bool parks; /* a failing event, rather than stopping at it */
	Datum retry_after;
	bool live;
	bool automatic; /* takes over by itself */
	bool running;	/* neither paused nor stopped */
	char *state;
	/* From sierra_projection_enter() on. */
	TupleDesc desc; /* of sierra_event */
	Oid event_type;
	Oid handler;
	SierraUpcasters *upcasters; /* NULL: there are none */
	bool upcasters_loaded;
	SierraRunAs run_as;
} SierraProjection;

/* How a projection is looked up. */
typedef enum SierraProjectionLock
{
	SIERRA_PROJECTION_UNLOCKED,	 /* as the active snapshot sees it */
	SIERRA_PROJECTION_KEY_SHARE, /* as it is now; raises 40001 if the transaction cannot see that */
	SIERRA_PROJECTION_LOCKED	 /* nobody else runs or changes it until the transaction ends */
} SierraProjectionLock;

/*
 * Finds a version of a projection (0: the live one) for a caller with these
 * rights on the store's table projections; NULL if there is none.
 *
 * Raises 42501 if the projection's owner is a role that the table's owner could
 * not become: who can write the table must not gain rights by it.
 */
extern SierraProjection *sierra_projection_find(SierraStore *store, text *name, int32 version,
												AclMode rights, SierraProjectionLock look);

/* The same; raises 42704 if there is none. */
extern SierraProjection *sierra_projection_open(SierraStore *store, text *name, int32 version,
												AclMode rights, SierraProjectionLock look);

/*
 * From here on the current user is the owner, in a security-restricted context.
 * Looks up the handler; raises 42883, 42P13 or 42501 if it cannot be called.
 * event_type is the type sierra_event.  The first time, upcasters and the like are
 * put into the current context, which has to last as long as the projection.
 */
extern void sierra_projection_enter(SierraProjection *projection, Oid event_type);
extern void sierra_projection_leave(SierraProjection *projection);

#endif /* SIERRA_PROJECTION_H */
