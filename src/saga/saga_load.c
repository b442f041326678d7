/*
 * saga_load.c
 *		Reads what the stream of a saga adds up to.
 */
#include "postgres.h"

#include "base/json_convert.h"
#include "read/read_stream.h"
#include "read/row_security.h"
#include "saga/saga_step.h"
#include "store/early_release.h"
#include "store/event.h"
#include "store/query.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

static const SierraQuery definition_query = {
	"SELECT d.steps, d.search_path FROM %1$s.sagas AS d"
	" WHERE d.saga OPERATOR(pg_catalog.=) $1 AND d.version OPERATOR(pg_catalog.=) $2",
	2,
	{TEXTOID, INT4OID}};

typedef struct Load
{
	SierraSink base;
	List *events;		  /* of SierraSagaEvent */
	text *correlation_id; /* of the first one */
	MemoryContext context;
} Load;

/* The definition that the first event names; false if there is none. */
static bool
find_definition(const SierraStore *store, const SierraSagaEvent *first, SierraSagaState *state)
{
	MemoryContext context = CurrentMemoryContext;
	text *saga = sierra_jsonb_member_text(first->payload, "saga");
	text *version = sierra_jsonb_member_text(first->payload, "version");
	Datum values[2];
	bool found;

	if (strcmp(first->name, "SagaStarted") != 0 || saga == NULL || version == NULL)
		return false;
	values[0] = PointerGetDatum(saga);
	values[1] = Int32GetDatum(pg_strtoint32(text_to_cstring(version)));
	sierra_query_begin();
	found = sierra_query(store, &definition_query, values, NULL, false) > 0;
	if (found)
	{
		MemoryContext spi = MemoryContextSwitchTo(context);

		sierra_saga_set(state, SAGA_NAME, values[0]);
		sierra_saga_set(state, SAGA_DEFINITION, values[1]);
		sierra_saga_set(
			state, SAGA_STEPS,
			PointerGetDatum(PG_DETOAST_DATUM_COPY(sierra_query_required(0, 1, JSONBOID))));
		sierra_saga_set(state, SAGA_SEARCH_PATH,
						PointerGetDatum(DatumGetTextPCopy(sierra_query_required(0, 2, TEXTOID))));
		MemoryContextSwitchTo(spi);
	}
	sierra_query_end();
	return found;
}

static Jsonb *
get_json(const Datum *values, const bool *nulls, int column)
{
	return nulls[column] ? NULL
						 : DatumGetJsonbP(sierra_jsonb_of_json(DatumGetTextPP(values[column])));
}

/* A stream that does not begin as that of a saga is not read to its end. */
static bool
add_values(void *arg, Datum *values, bool *nulls)
{
	Load *load = arg;
	MemoryContext old = MemoryContextSwitchTo(load->context);
	SierraSagaEvent *event = palloc(sizeof(SierraSagaEvent));

	CHECK_FOR_INTERRUPTS();
	event->name = text_to_cstring(DatumGetTextPP(values[SIERRA_EVENT_NAME]));
	event->payload = get_json(values, nulls, SIERRA_EVENT_PAYLOAD);
	event->version = DatumGetInt64(values[SIERRA_EVENT_VERSION]);
	event->id = *DatumGetUUIDP(values[SIERRA_EVENT_ID]);
	event->timestamp = DatumGetTimestampTz(values[SIERRA_EVENT_TIMESTAMP]);
	if (load->events == NIL)
		load->correlation_id = sierra_jsonb_member_text(
			get_json(values, nulls, SIERRA_EVENT_METADATA), "correlation_id");
	load->events = lappend(load->events, event);
	MemoryContextSwitchTo(old);
	return strcmp(((SierraSagaEvent *) linitial(load->events))->name, "SagaStarted") == 0;
}

static bool
add_slot(SierraSink *base, TupleTableSlot *slot)
{
	Datum values[Natts_events];
	bool nulls[Natts_events];

	sierra_event_values(slot, values, nulls);
	return add_values(base, values, nulls);
}

/* Reads as escan() would, if the current user called it now. */
static void
read_events(const SierraStore *store, const text *saga_id, Load *load)
{
	SierraRange range = {0, PG_INT64_MAX, false};

	/* The snapshot sees what is committed now, and what this transaction has done so far. */
	CommandCounterIncrement();
	sierra_push_new_snapshot();
	if (sierra_store_has_row_security(store))
	{
		SierraSink *sink = sierra_row_security_sink(store, add_values, load, PG_INT64_MAX);

		sierra_read_stream(store, saga_id, range, sink);
		sierra_row_security_finish(sink);
	}
	else
		sierra_read_stream(store, saga_id, range, &load->base);
	PopActiveSnapshot();
}

static void
report_none(const SierraStore *store, text *saga_id)
{
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
			errmsg("no saga instance \"%s\"", text_to_cstring(saga_id)),
			errdetail("Store \"%s\" has no stream of this name that begins with SagaStarted of "
					  "a defined saga.",
					  NameStr(store->name)),
			errhint("Start it with start_saga(); event_sagas() lists them."));
}

void
sierra_saga_load(const char *store_name, text *saga_id, SierraSagaState *state)
{
	const SierraStore *store = sierra_store_open_named(store_name, ACL_SELECT);
	Load load = {.base = {add_slot}, .events = NIL, .context = CurrentMemoryContext};

	read_events(store, saga_id, &load);
	sierra_saga_state_init(state, saga_id);
	if (load.events == NIL || !find_definition(store, linitial(load.events), state))
		report_none(store, saga_id);
	sierra_saga_state_begin(state, linitial(load.events), load.correlation_id);
	for (int i = 1; i < list_length(load.events); i++)
		sierra_saga_state_fold(state, list_nth(load.events, i));
}
