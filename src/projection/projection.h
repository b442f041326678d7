/*
 * projection.h
 *		Projections: what a handler makes of the events of a subscription.
 *
 * A projection is rows of ordinary tables of its store:
 *		projections			a row for each version: the handler, how it is run, and
 *							its progress.  One version is live; another can be under construction.
 *		projection_states	for folds: the states, by version and key
 *
 * The code of a projection's owner (the handler, the expression of the key)
 * runs with the owner's rights and with the search_path of the projection,
 * between sierra_projection_enter() and sierra_projection_leave().
 */
#ifndef SIERRA_PROJECTION_H
#define SIERRA_PROJECTION_H

#include "fmgr.h"

#include "aggregate/upcast.h"
#include "read/filter.h"
#include "store/run_as.h"
#include "store/store.h"

#include "access/tupdesc.h"

/* What check_projection_arguments() and the table of projections allow. */
#define SIERRA_PROJECTION_MAX_BATCH 100000

typedef enum SierraProjectionKind
{
	SIERRA_HANDLES_EVENT, /* handler(sierra_event) */
	SIERRA_HANDLES_BATCH, /* handler(sierra_event[]) */
	SIERRA_FOLDS,		  /* handler(jsonb, sierra_event) returns jsonb */
	SIERRA_MANAGES		  /* the same signature, but with effects: a process manager */
} SierraProjectionKind;

typedef struct SierraProjection
{
	SierraStore *store;
	text *name;
	int32 version;
	Oid owner;
	SierraProjectionKind kind;
	char *procedure; /* the handler, as regprocedure prints it */
	char *key;		 /* an SQL expression of e; NULL: the stream id */
	Datum initial;	 /* jsonb, the state before the first event */
	bool initial_null;
	SierraFilter streams;
	SierraFilter event_names;
	SierraFilter tags;
	char *search_path;
	text *subscription; /* NULL: a trigger calls the handler when events are appended */
	int32 batch_size;	/* 1 to SIERRA_PROJECTION_MAX_BATCH */
	bool parks;			/* parks an event that fails; otherwise stops at it */
	Datum retry_after;
	bool live;
	bool automatic; /* a new version becomes live as soon as it has caught up */
	bool running;	/* neither paused nor stopped */
	char *state;
	/* Set by sierra_projection_enter(). */
	TupleDesc desc; /* of sierra_event */
	Oid event_type;
	Oid handler;
	SierraUpcasters *upcasters; /* NULL: the store has none */
	bool upcasters_loaded;
	SierraRunAs run_as;
} SierraProjection;

/* How the row of a projection is locked when it is looked up. */
typedef enum SierraProjectionLock
{
	SIERRA_PROJECTION_UNLOCKED,	 /* as the active snapshot sees it */
	SIERRA_PROJECTION_KEY_SHARE, /* FOR KEY SHARE under REPEATABLE READ; 40001 if it changed */
	SIERRA_PROJECTION_LOCKED	 /* FOR NO KEY UPDATE: nobody else runs or changes it */
} SierraProjectionLock;

/*
 * Finds a version of a projection (0: the live one); NULL if there is none.
 * The caller needs these rights on the store's table projections, else 42501.
 *
 * Raises 42501 if the projection's owner is a role that the table's owner
 * cannot become: a role that can write the table must not gain rights by that.
 * Raises 40001 as SIERRA_PROJECTION_KEY_SHARE says.
 */
extern SierraProjection *sierra_projection_find(SierraStore *store, text *name, int32 version,
												AclMode rights, SierraProjectionLock lock);

/* The same, but raises 42704 if there is none. */
extern SierraProjection *sierra_projection_open(SierraStore *store, text *name, int32 version,
												AclMode rights, SierraProjectionLock lock);

/*
 * From here on the current user is the owner, in a security-restricted context.
 * Looks up the handler; raises 42883, 42P13 or 42501 if it cannot be called.
 * event_type is the type sierra_event.  The first call allocates the upcasters
 * and the row type in the current memory context, which has to last as long as
 * the projection.
 */
extern void sierra_projection_enter(SierraProjection *projection, Oid event_type);
extern void sierra_projection_leave(SierraProjection *projection);

#endif /* SIERRA_PROJECTION_H */
