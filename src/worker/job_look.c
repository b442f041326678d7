/*
 * job_look.c
 *		Looks at the stores of a database for jobs that are due.
 *
 * A look at a store is done as the owner of its table of events, in a security-restricted
 * operation (store_look.c says why).  It waits for no lock, and has a time limit, so no
 * store keeps others from being looked at.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "store/complete.h"
#include "store/extension.h"
#include "store/run_as.h"
#include "store/time_limit.h"
#include "worker/background.h"
#include "worker/job_list.h"
#include "worker/job_look.h"
#include "worker/job_switch.h"
#include "worker/job_table.h"
#include "worker/look_budget.h"
#include "worker/look_lock.h"
#include "worker/store_watch.h"

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

/*
 * The pause of the looks at a store that is locked, in milliseconds.  It doubles from the
 * first value up to the second.
 */
#define LOCKED_PAUSE_MS 50
#define LOCKED_PAUSE_MAX_MS 1000

/*
 * In a round, the looks at the stores of one owner take this long at most, in milliseconds,
 * and the look that exceeds it; the second is for the owner whom the runner serves.
 */
#define LOOK_BUDGET_MS 100
#define SERVED_LOOK_BUDGET_MS 1000

/* The value of lock_timeout during a look. */
#define LOOK_LOCK_TIMEOUT "100ms"

/* A look at a store may take this long, in milliseconds. */
#define LOOK_TIME_LIMIT_MS 1000

/* If it takes longer than the first, the pause after it is this many times its duration. */
#define SLOW_LOOK_MS 50
#define SLOW_LOOK_PAUSE_FACTOR 9

/* Runners run at most this number of projections in a store. */
#define PROJECTIONS_MAX 1000

/*
 * Does the extension have the function that runs jobs?  Not if its version is
 * another one than that of the library.
 */
static bool
has_functions(void)
{
	static const Oid arguments[] = {NAMEOID, TEXTOID, TEXTOID, INT4OID, INT8OID, OIDOID};

	return OidIsValid(sierra_extension_find_function("run_job", lengthof(arguments), arguments));
}

/* Updates a job from what a look found. */
static void
take_job(Oid schema, Oid store_owner, const SierraListedJob *listed, const SierraJobState *state)
{
	SierraJob *job = sierra_job_find(schema, listed->kind, listed->name, listed->version);

	job->unknown = false;
	job->owner.store_owner = store_owner;
	job->owner.owner = listed->owner;
	job->trusted = superuser_arg(store_owner) && superuser_arg(listed->owner);
	job->due_at = listed->due_at;
	job->again_at = listed->again_at;
	job->size = listed->size;
	job->state = *state;
	job->state.row = listed->row;
}

/*
 * Updates the jobs of a store; false if it is locked.  In a transaction, as the store's
 * owner.
 */
static bool
list_jobs(Oid schema, Oid owner, const SierraJobState *state)
{
	char *name = get_namespace_name(schema);
	SierraStore *store;
	ListCell *cell;

	if (!sierra_look_lock_jobs(schema))
		return false;
	/* The store can be dropped at any time. */
	if (name == NULL || !sierra_jobs_run(name))
		return true;
	store = sierra_store_open_named(name, ACL_NO_RIGHTS);
	if (store->subscribed)
		return true; /* the publisher runs them */
	sierra_store_check_complete(store);
	foreach (cell, sierra_job_list(store, PROJECTIONS_MAX))
		take_job(schema, owner, lfirst(cell), state);
	return true;
}

/*
 * Looks at a store, in a transaction; false if it is locked.  "held_back" says whether an
 * append in flight holds events back.
 */
static bool
look_as_owner(Oid schema, volatile bool *held_back)
{
	SierraJobState state = {.events = -1};
	Oid owner = sierra_run_as_store_owner(schema);
	int64 newest = 0;
	SierraRunAs run_as;
	int settings;
	bool free = true;

	if (!OidIsValid(owner))
		return true;
	settings = NewGUCNestLevel();
	sierra_job_set_lock_timeout(LOOK_LOCK_TIMEOUT);
	if (sierra_watch_look(schema, &state.events, &state.readable, &newest))
		*held_back = state.readable < newest;
	sierra_run_as_begin_as(&run_as, owner);
	free = list_jobs(schema, owner, &state);
	sierra_run_as_end(&run_as);
	AtEOXact_GUC(false, settings);
	return free;
}

/* Notes that a look did not fail.  While a store is locked, the looks become less frequent. */
static void
note_look(SierraJob *looking, bool free)
{
	if (free && looking->note.failures == 0)
		return;
	looking->note.error = 0;
	if (free)
		looking->note.failures = 0;
	else
		looking->note.paused_until =
			sierra_after_ms(sierra_now(), sierra_backoff(++looking->note.failures, LOCKED_PAUSE_MS,
														 LOCKED_PAUSE_MAX_MS));
	sierra_job_keep_note(looking);
}

/*
 * A store that is slow to look at must not take the time of others.  A runner that serves
 * its owner looks at it in any case.
 */
static void
note_slow_look(SierraJob *looking, SierraTime began)
{
	SierraTime ended = sierra_now();

	if (!sierra_is_past(began, ended, SLOW_LOOK_MS))
		return;
	looking->note.look_due = ended + (ended - began) * SLOW_LOOK_PAUSE_FACTOR;
	sierra_job_keep_note(looking);
}

/* When to look at this store. */
static SierraTime
time_of_look(const SierraJob *looking, const SierraJobLook *look, Oid served)
{
	if (!look->several_owners || looking->owner.store_owner == served)
		return looking->note.paused_until;
	return Max(looking->note.paused_until, looking->note.look_due);
}

/* Is this store to be left out now?  Then its jobs stay as they are, unless it is locked. */
static bool
is_left_out(SierraJob *looking, SierraJobLook *look, Oid served, HTAB *budget)
{
	Oid owner = looking->owner.store_owner;
	bool alone = !look->several_owners || owner == served;
	SierraTime now = sierra_now();
	SierraTime due = time_of_look(looking, look, served);
	bool spent = due <= now && sierra_look_budget_is_spent(
								   budget, owner, alone ? SERVED_LOOK_BUDGET_MS : LOOK_BUDGET_MS);

	looking->skipped = spent || (due > now && looking->note.paused_until <= now);
	look->unfinished |= spent;
	if (due > now)
		look->again_at = Min(look->again_at, due);
	return spent || due > now;
}

/* Finds the jobs of a store; true if an append in flight holds events back. */
static bool
look_at_store(SierraJob *looking, HTAB *budget)
{
	MemoryContext context = CurrentMemoryContext;
	Oid schema = looking->key.schema;
	SierraTime began = sierra_now();
	volatile bool held_back = false;

	looking->looked = began;
	PG_TRY();
	{
		bool free;

		sierra_background_begin("looking for timers, sagas and projections that are due");
		sierra_time_limit_begin_job(LOOK_TIME_LIMIT_MS);
		free = look_as_owner(schema, &held_back);
		sierra_time_limit_end_job();
		sierra_background_end();
		note_look(looking, free);
	}
	PG_CATCH();
	{
		char message[SIERRA_JOB_ERROR_MAX];

		sierra_job_failed(looking, context,
						  psprintf("the look for jobs in schema %u took longer than %d ms", schema,
								   LOOK_TIME_LIMIT_MS),
						  message);
		sierra_time_limit_end_job();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	note_slow_look(looking, began);
	sierra_look_budget_spend(budget, looking->owner.store_owner, sierra_now() - began);
	return held_back;
}

/* The store at which this process has not looked for the longest time comes first. */
static int
compare_looks(const ListCell *a, const ListCell *b)
{
	const SierraJob *left = lfirst(a);
	const SierraJob *right = lfirst(b);

	return left->looked < right->looked ? -1 : left->looked > right->looked;
}

/*
 * The looks to do, in their order, with the owners of the stores; "several" says whether
 * these are more than one.  Only catalogs are read.
 */
static List *
plan_looks(const List *schemas, bool *several)
{
	List *looks = NIL;
	Oid first = InvalidOid;
	ListCell *cell;

	*several = false;
	foreach (cell, schemas)
	{
		SierraJob *looking = sierra_job_find(lfirst_oid(cell), SIERRA_JOB_LOOK, "", 0);
		Oid owner = sierra_relation_owner(get_relname_relid("events", lfirst_oid(cell)));

		/* At random first: a runner can end before it has looked at all of them. */
		if (looking->looked == 0)
			looking->looked = -1 - (SierraTime) pg_prng_uint32(&pg_global_prng_state);
		looks = lappend(looks, looking);
		if (!OidIsValid(owner))
			continue;
		looking->owner.store_owner = owner;
		*several |= OidIsValid(first) && owner != first;
		first = owner;
	}
	list_sort(looks, compare_looks);
	return looks;
}

void
sierra_jobs_look(SierraJobLook *look, Oid served)
{
	MemoryContext context = CurrentMemoryContext;
	List *looks = NIL;
	HTAB *budget;
	ListCell *cell;

	sierra_jobs_begin_look();
	sierra_background_begin("looking for event stores");
	look->installed = sierra_extension_exists();
	look->held_back = look->several_owners = look->unfinished = false;
	look->again_at = SIERRA_NEVER;
	if (look->installed && has_functions())
	{
		List *found = sierra_watch_list();

		sierra_jobs_read_switch();

		MemoryContextSwitchTo(context);
		looks = plan_looks(found, &look->several_owners);
	}
	sierra_background_end();
	MemoryContextSwitchTo(context);
	budget = sierra_look_budget_begin();
	foreach (cell, looks)
	{
		SierraJob *looking = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (!is_left_out(looking, look, served, budget))
			look->held_back |= look_at_store(looking, budget);
	}
	hash_destroy(budget);
	look->stores = list_length(looks);
	list_free(looks);
	look->jobs = sierra_jobs_forget_others();
}
