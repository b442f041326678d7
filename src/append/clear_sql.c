/*
 * clear_sql.c
 *		The SQL function clear_event_store().
 *
 * The caller owns the store, but the owner of a store is not always whom the caller trusts:
 * tables of subscriptions and derived state can have triggers and views in their place.  So
 * all statements run as the owner, in a security-restricted operation.
 */
#include "postgres.h"

#include "append/clear.h"
#include "base/args.h"
#include "base/compat.h"
#include "store/extension.h"
#include "store/run_as.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(sierra_clear_event_store);

/* Calls a function of the extension that takes the name of a store. */
static void
call_for_store(const char *function, Name name)
{
	static const Oid types[] = {NAMEOID};

	(void) OidFunctionCall1(sierra_extension_function(function, 1, types), NameGetDatum(name));
}

static SierraStore *
open_as_owner(Name name)
{
	SierraStore *store;

	/* Raises SE005 unless there is a complete store of this name. */
	call_for_store("require_store", name);
	store = sierra_store_open_named(NameStr(*name), ACL_NO_RIGHTS);
	if (!sierra_compat_owns_relation(store->events, GetUserId()))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("must be owner of event store \"%s\"", NameStr(*name)),
				errdetail("Only the owner of its table \"events\" may delete events."));
	return store;
}

static void
refuse_here(const SierraStore *store)
{
	PreventCommandDuringRecovery("clear_event_store()");
	PreventCommandIfReadOnly("clear_event_store()");
	PreventCommandIfParallelMode("clear_event_store()");
	/* An older snapshot would not see what was committed since. */
	if (IsolationUsesXactSnapshot())
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("clear_event_store() needs isolation level READ COMMITTED"),
				errhint("Use another transaction."));
	if (store->subscribed)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("cannot clear an event store while logical replication writes to it"),
				errdetail("Its events are those of the publisher."),
				errhint("Drop the subscription first."));
}

static void
refuse_without_force(const SierraStore *store)
{
	int64 events = sierra_clear_count(store);

	ereport(
		ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		errmsg("clear_event_store() would delete all events of event store \"%s\"",
			   NameStr(store->name)),
		errdetail_plural("It has %lld event.", "It has %lld events.", events, (long long) events),
		errhint("It is meant for tests.  To delete them for good, use clear_event_store(%s, "
				"force => true).",
				quote_literal_cstr(NameStr(store->name))));
}

/* Whoever looks for lost events finds this, also if the transaction is rolled back. */
static void
audit(const SierraStore *store, int64 events, Oid caller)
{
	ereport(LOG_SERVER_ONLY,
			errmsg("sierra_es: role \"%s\" clears event store \"%s\" of database \"%s\"",
				   GetUserNameFromId(caller, false), NameStr(store->name),
				   get_database_name(MyDatabaseId)),
			errdetail("Number of events: %lld.  The session is that of role \"%s\".",
					  (long long) events, GetUserNameFromId(GetSessionUserId(), false)));
}

/* Locks the store, and empties what is in it now. */
static int64
clear(Name name, Oid caller)
{
	SierraStore *store;
	int64 events;

	call_for_store("lock_store_to_clear", name);
	/* What was found before the locks may have changed. */
	store = sierra_store_open_named(NameStr(*name), ACL_NO_RIGHTS);
	if (sierra_relation_owner(store->events) != GetUserId())
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("event store \"%s\" has another owner by now", NameStr(*name)),
				errhint("Try again."));
	events = sierra_clear_events(store);
	audit(store, events, caller);
	call_for_store("clear_state", name);
	return events;
}

Datum
sierra_clear_event_store(PG_FUNCTION_ARGS)
{
	Name name;
	SierraStore *store;
	SierraRunAs run_as;
	int64 events;

	sierra_require_argument(fcinfo, 0, "store");
	name = PG_GETARG_NAME(0);
	store = open_as_owner(name);
	refuse_here(store);
	if (PG_ARGISNULL(1) || !PG_GETARG_BOOL(1))
		refuse_without_force(store);
	sierra_run_as_begin_as(&run_as, sierra_run_as_store_owner(store->schema));
	events = clear(name, run_as.caller);
	sierra_run_as_end(&run_as);
	PG_RETURN_INT64(events);
}
