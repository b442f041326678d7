/*
 * store_watch.c
 *		What is new in the stores of a database, for NOTIFY.
 *
 * For each store, shared memory has a note of how many events it had and up to where
 * they could be read (the horizon) at the last look.  If either grew, there is
 * something new to read.  So a runner finds events that did not ring, and events that
 * became readable because another append ended, and events are not announced twice,
 * whichever runner looks.  A note that is lost costs a NOTIFY too many.
 *
 * An owner must not delay notifications about the stores of others.  So a look takes
 * locks only if they are free (store_look.c), a store whose look was slow has to wait, and
 * the looks of a round at the stores of one owner have a budget of time.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "store/event.h"
#include "store/extension.h"
#include "store/time_limit.h"
#include "wakeup/notify.h"
#include "worker/guarded_stores.h"
#include "worker/job_note.h"
#include "worker/look_budget.h"
#include "worker/store_look.h"
#include "worker/store_watch.h"

#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* What is known about a store. */
typedef struct Watched
{
	Oid schema;		   /* hash key */
	Oid owner;		   /* of the table of events */
	bool listed;	   /* found by the last list_stores() */
	bool complained;   /* an error occurred since the last look that succeeded */
	bool unsure;	   /* it rang after the last look */
	bool silent;	   /* and those that rang since then wanted no NOTIFY */
	bool left_out;	   /* of the last sweep: others of its owner took the time */
	SierraTime looked; /* the last look of this process; 0: none */
	SierraTime turn;   /* when it was its turn last; negative before the first time */
	SierraTime next;   /* not before: the last look failed, or was slow */
	SierraTime sweep;  /* if it has not rung, not before: the last look was slow */
	uint32 failures;   /* of looks, in a row */
} Watched;

/* The kind of the note about a store; it is none of SierraJobKind. */
#define WATCH_NOTE (-1)

/*
 * A store is not looked at more often than this, in milliseconds: a look costs
 * more than a NOTIFY.
 */
#define LOOK_INTERVAL_MS 100

/*
 * The pause after a look that failed, in milliseconds: it doubles from LOOK_INTERVAL_MS
 * up to this.
 */
#define FAILED_LOOK_PAUSE_MAX_MS 10000

/*
 * A look that takes longer than the first delays only looks at the same store, and it
 * fails after the second, in milliseconds.  The pause is this many times its duration, and
 * longer if the store does not ring.
 */
#define SLOW_WATCH_MS 10
#define WATCH_TIME_LIMIT_MS 1000
#define SLOW_WATCH_PAUSE_FACTOR 9
#define SLOW_SWEEP_PAUSE_FACTOR 99

/*
 * In a round, the looks at the stores of one owner take this long at most, in milliseconds,
 * and the look that exceeds it.
 */
#define WATCH_BUDGET_MS 50

static HTAB *watched = NULL;

/* What the looks of the current round have taken. */
static HTAB *budget = NULL;

/* How much longer than SLOW_WATCH_MS the slow looks of the current round took. */
static SierraTime slow_time = 0;

/* How long the looks at those that a sweep had left out took in the current round. */
static SierraTime left_out_time = 0;

/* When to look at the first of the stores that are unsure, or were left out. */
static SierraTime look_due = SIERRA_NEVER;

static bool found_unrung = false;

/* Any change of a relation can mean that a store was created or dropped. */
static bool list_is_stale = true;

static void
relation_changed(Datum arg, Oid relid)
{
	list_is_stale = true;
}

static void
create_table(void)
{
	HASHCTL ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(Watched), .hcxt = TopMemoryContext};

	watched =
		hash_create("sierra_es watched stores", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
}

/* The note about a store, of the last look of any runner. */
static SierraJobNote
read_note(Oid schema)
{
	SierraJobNote note;

	sierra_job_note_read(sierra_job_note_key(schema, WATCH_NOTE, "", 0), &note);
	return note;
}

static void
write_note(Oid schema, const SierraJobNote *note)
{
	sierra_job_note_write(sierra_job_note_key(schema, WATCH_NOTE, "", 0), note);
}

static Watched *
find_watched(Oid schema)
{
	bool found;
	Watched *store = hash_search(watched, &schema, HASH_ENTER, &found);

	if (!found)
	{
		store->owner = InvalidOid;
		store->listed = store->unsure = store->silent = store->left_out = false;
		store->looked = store->next = 0;
		/* At random first: a runner can end before it has looked at all of them. */
		store->turn = -1 - (SierraTime) pg_prng_uint32(&pg_global_prng_state);
		store->sweep = read_note(schema).look_due;
		store->failures = 0;
	}
	return store;
}

static void
note_listed(Oid schema, Oid owner)
{
	Watched *store = find_watched(schema);

	store->listed = true;
	store->owner = owner;
}

/* Brings the list of stores up to date, and forgets stores that do not exist any more. */
static void
list_stores(void)
{
	HASH_SEQ_STATUS scan;
	Watched *store;
	Oid guard;

	if (watched == NULL)
		create_table();
	if (!list_is_stale)
		return;
	list_is_stale = false;
	hash_seq_init(&scan, watched);
	while ((store = hash_seq_search(&scan)) != NULL)
		store->listed = false;
	guard = sierra_extension_guard();
	if (OidIsValid(guard))
		sierra_list_guarded_stores(guard, note_listed);
	hash_seq_init(&scan, watched);
	while ((store = hash_seq_search(&scan)) != NULL)
	{
		if (!store->listed)
			hash_search(watched, &store->schema, HASH_REMOVE, NULL);
	}
}

/* Logs that a store cannot be looked at, once until a look succeeds. */
static void
complain(const Watched *store, ErrorData *error)
{
	SierraJobNote note = read_note(store->schema);
	uint32 hash = hash_bytes((unsigned char *) error->message, strlen(error->message)) | 1;

	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE || note.error == hash)
		return;
	ereport(LOG, errmsg("sierra_es cannot look at event store \"%s\": %s",
						get_namespace_name(store->schema), error->message));
	note.error = hash;
	write_note(store->schema, &note);
}

static bool
look_at_store(const Watched *store, SierraStoreLook *look, bool limited)
{
	ErrorData *error = NULL;
	bool done = sierra_look_at_store(store->schema, look, limited, &error);

	if (error != NULL)
	{
		complain(store, error);
		FreeErrorData(error);
	}
	return done;
}

static void
note_slow_look(Watched *store, SierraTime began, SierraTime ended)
{
	SierraJobNote note = read_note(store->schema);

	store->next = Max(store->next, ended + (ended - began) * SLOW_WATCH_PAUSE_FACTOR);
	store->sweep = ended + (ended - began) * SLOW_SWEEP_PAUSE_FACTOR;
	slow_time += ended - sierra_after_ms(began, SLOW_WATCH_MS);
	note.look_due = store->sweep;
	write_note(store->schema, &note);
}

/* Is the time over that looks at the stores of this owner may take in a round? */
static bool
is_over_budget(const Watched *store)
{
	return sierra_look_budget_is_spent(budget, store->owner, WATCH_BUDGET_MS);
}

/*
 * Looks at a store in a round, unless the time of its owner is over; the time that a slow or
 * a failing store costs is its own.
 */
static bool
look_in_round(Watched *store, SierraStoreLook *look)
{
	SierraTime began = sierra_now();
	SierraTime ended;
	bool done;

	if (is_over_budget(store))
		return false;
	store->turn = began;
	sierra_time_limit_begin_job(WATCH_TIME_LIMIT_MS);
	done = look_at_store(store, look, true);
	sierra_time_limit_end_job();
	ended = sierra_now();
	store->failures = done ? 0 : store->failures + 1;
	store->next = done ? 0
					   : sierra_after_ms(ended, sierra_backoff(store->failures, LOOK_INTERVAL_MS,
															   FAILED_LOOK_PAUSE_MAX_MS));
	sierra_look_budget_spend(budget, store->owner, ended - began);
	if (store->left_out)
		left_out_time += Min(ended - began, sierra_after_ms(0, SLOW_WATCH_MS));
	store->left_out = false;
	if (sierra_is_past(began, ended, SLOW_WATCH_MS))
		note_slow_look(store, began, ended);
	return done;
}

/* Remembers what a look found; true if there is something new that is to be announced. */
static bool
is_news(Watched *store, const SierraStoreLook *look)
{
	SierraJobNote note = read_note(store->schema);
	SierraJobState known = note.exhausted_state;
	bool wanted = !store->unsure || !store->silent;
	bool news;

	if (!note.exhausted)
		known = (SierraJobState){.events = 0, .readable = SIERRA_NONE};

	/*
	 * If there are fewer, the store was cleared, or rows of it were lost.  What is there can
	 * be new all the same.
	 */
	news = look->events != known.events || look->readable > known.readable;
	if (!note.exhausted || note.error != 0 || look->events != known.events ||
		look->readable != known.readable)
	{
		found_unrung |= note.exhausted && news && !store->unsure;
		note.exhausted = true;
		note.error = 0;
		note.exhausted_state.events = look->events;
		note.exhausted_state.readable = look->readable;
		write_note(store->schema, &note);
	}
	store->looked = sierra_now();
	store->unsure = store->silent = false;
	return news && wanted && look->position != SIERRA_NONE;
}

static SierraTime
time_of_look(const Watched *store)
{
	return Max(sierra_after_ms(store->looked, LOOK_INTERVAL_MS), store->next);
}

static bool
is_time_to_look(const Watched *store)
{
	return sierra_now() >= time_of_look(store);
}

/* Does a round look at this store, which has not just rung?  "all" says that it is a sweep. */
static bool
is_in_round(const Watched *store, bool all)
{
	if ((store->unsure || store->left_out) && is_time_to_look(store))
		return true;
	return all && sierra_now() >= Max(store->next, store->sweep);
}

/*
 * A ring with a position is announced in any case.  A ring without one says
 * that a lock was released; only a look shows whether something became
 * readable.  Returns how many notifications were sent.
 */
static int
watch_ring(const SierraRing *ring)
{
	Watched *store = hash_search(watched, &ring->schema, HASH_FIND, NULL);
	int64 position = ring->position;
	char *name = get_namespace_name(ring->schema);
	bool wanted;
	SierraStoreLook look;

	if (store == NULL || name == NULL)
		return 0;
	/* A store about which nothing is known is announced. */
	store->silent = !ring->notify && (!store->unsure || store->silent) &&
					(store->looked != 0 || read_note(ring->schema).exhausted);
	store->unsure = true;
	wanted = ring->notify && position != SIERRA_NONE;
	if (is_time_to_look(store) && look_in_round(store, &look))
	{
		wanted |= is_news(store, &look);
		position = look.position;
	}
	if (!wanted || position == SIERRA_NONE)
		return 0;
	sierra_notify(name, position);
	return 1;
}

int
sierra_watch_rings(const SierraRings *rings)
{
	int sent = 0;

	budget = sierra_look_budget_begin();
	left_out_time = 0;
	if (rings->count > 0)
		list_stores();
	for (int i = 0; i < rings->count; i++)
		sent += watch_ring(&rings->store[i]);
	return sent;
}

/* The store at which this process has not looked for the longest time comes first. */
static int
compare_looks(const ListCell *a, const ListCell *b)
{
	const Watched *left = lfirst(a);
	const Watched *right = lfirst(b);

	return left->turn < right->turn ? -1 : left->turn > right->turn;
}

/* The stores at which a round looks that have not just rung, in their order. */
static List *
plan_round(bool all)
{
	HASH_SEQ_STATUS scan;
	Watched *store;
	List *round = NIL;

	hash_seq_init(&scan, watched);
	while ((store = hash_seq_search(&scan)) != NULL)
	{
		if (is_in_round(store, all))
			round = lappend(round, store);
	}
	list_sort(round, compare_looks);
	return round;
}

/* When to look at stores whose looks are still to be done. */
static SierraTime
find_look_due(void)
{
	HASH_SEQ_STATUS scan;
	Watched *store;
	SierraTime due = SIERRA_NEVER;

	hash_seq_init(&scan, watched);
	while ((store = hash_seq_search(&scan)) != NULL)
	{
		if (store->unsure || store->left_out)
			due = Min(due, time_of_look(store));
	}
	return due;
}

/*
 * Looks at all stores, or at those that are unsure or were left out; returns how many
 * notifications were sent.
 */
static int
watch_stores(bool all)
{
	ListCell *cell;
	int sent = 0;

	list_stores();
	foreach (cell, plan_round(all))
	{
		Watched *store = lfirst(cell);
		SierraStoreLook look;

		store->left_out |= all && is_over_budget(store);
		if (look_in_round(store, &look) && is_news(store, &look))
		{
			sierra_notify(look.name, look.position);
			sent++;
		}
	}
	look_due = find_look_due();
	return sent;
}

int
sierra_watch_again(void)
{
	return watch_stores(false);
}

int
sierra_watch_all(void)
{
	return watch_stores(true);
}

List *
sierra_watch_list(void)
{
	HASH_SEQ_STATUS scan;
	Watched *store;
	List *schemas = NIL;

	list_stores();
	hash_seq_init(&scan, watched);
	while ((store = hash_seq_search(&scan)) != NULL)
		schemas = lappend_oid(schemas, store->schema);
	return schemas;
}

bool
sierra_watch_look(Oid schema, int64 *events, int64 *readable, int64 *newest)
{
	SierraStoreLook look;

	if (!look_at_store(find_watched(schema), &look, false))
		return false;
	*events = look.events;
	*readable = look.readable;
	*newest = look.position;
	return true;
}

SierraTime
sierra_watch_due(void)
{
	return look_due;
}

SierraTime
sierra_watch_left_out_time(void)
{
	return left_out_time;
}

SierraTime
sierra_watch_take_slow_time(void)
{
	SierraTime taken = slow_time;

	slow_time = 0;
	return taken;
}

bool
sierra_watch_found_unrung(void)
{
	return found_unrung;
}
