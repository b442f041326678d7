/*
 * saga_state.c
 *		What the events of a saga add up to: its values.
 */
#include "postgres.h"

#include "saga/saga_state.h"
#include "store/extension.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/typcache.h"

static TupleDesc
state_desc(void)
{
	TupleDesc desc = lookup_rowtype_tupdesc(sierra_extension_type("saga_state"), -1);

	sierra_extension_check_desc(desc, SAGA_FIELDS);
	return desc;
}

void
sierra_saga_state_init(SierraSagaState *state, text *saga_id)
{
	for (int i = 0; i < SAGA_FIELDS; i++)
		sierra_saga_set_null(state, i);
	sierra_saga_set(state, SAGA_ID, PointerGetDatum(saga_id));
}

Datum
sierra_saga_state_form(const SierraSagaState *state)
{
	TupleDesc desc = state_desc();
	HeapTuple tuple = heap_form_tuple(desc, (Datum *) state->values, (bool *) state->nulls);

	ReleaseTupleDesc(desc);
	return HeapTupleGetDatum(tuple);
}

/* A session can call functions that take a state with any value. */
static void
check_fields(const SierraSagaState *state)
{
	static const SierraSagaField required[] = {
		SAGA_ID,		 SAGA_NAME,			  SAGA_DEFINITION, SAGA_STEPS, SAGA_SEARCH_PATH,
		SAGA_STATUS,	 SAGA_ATTEMPTS,		  SAGA_DATA,	   SAGA_DONE,  SAGA_STARTED_AT,
		SAGA_UPDATED_AT, SAGA_STREAM_VERSION, SAGA_EVENT_ID};

	for (int i = 0; i < lengthof(required); i++)
	{
		if (state->nulls[required[i]])
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("the state of a saga is not complete"),
					errdetail("Attribute %d is null.", (int) required[i] + 1));
	}
}

void
sierra_saga_state_deform(Datum value, SierraSagaState *state)
{
	TupleDesc desc = state_desc();
	HeapTupleHeader header = DatumGetHeapTupleHeaderCopy(value);
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};

	if (HeapTupleHeaderGetTypeId(header) != desc->tdtypeid)
		elog(ERROR, "not the state of a saga");
	heap_deform_tuple(&tuple, desc, state->values, state->nulls);
	/* In a tuple it may be compressed, or have a short header. */
	for (int i = 0; i < SAGA_FIELDS; i++)
	{
		if (!state->nulls[i] && TupleDescAttr(desc, i)->attlen == -1)
			state->values[i] = PointerGetDatum(PG_DETOAST_DATUM(state->values[i]));
	}
	ReleaseTupleDesc(desc);
	check_fields(state);
}

bool
sierra_saga_has_status(const SierraSagaState *state, const char *status)
{
	const text *value;

	if (state->nulls[SAGA_STATUS])
		return false;
	value = DatumGetTextPP(state->values[SAGA_STATUS]);
	return VARSIZE_ANY_EXHDR(value) == strlen(status) &&
		   memcmp(VARDATA_ANY(value), status, strlen(status)) == 0;
}

static Jsonb *
step_at(const SierraSagaState *state, int index)
{
	Jsonb *steps = DatumGetJsonbP(state->values[SAGA_STEPS]);
	JsonbValue *value;

	if (state->nulls[SAGA_STEP_NUMBER] || index < 0 || !JB_ROOT_IS_ARRAY(steps))
		return NULL;
	value = getIthJsonbValueFromContainer(&steps->root, index);
	return value == NULL ? NULL : JsonbValueToJsonb(value);
}

Jsonb *
sierra_saga_step(const SierraSagaState *state)
{
	return step_at(state, DatumGetInt32(state->values[SAGA_STEP_NUMBER]) - 1);
}

Jsonb *
sierra_saga_next_step(const SierraSagaState *state)
{
	return step_at(state, DatumGetInt32(state->values[SAGA_STEP_NUMBER]));
}

bool
sierra_saga_deadline(const SierraSagaState *state, TimestampTz *deadline)
{
	static const SierraSagaField fields[] = {SAGA_STEP_DEADLINE, SAGA_DEADLINE};
	bool found = false;

	for (int i = 0; i < lengthof(fields); i++)
	{
		TimestampTz at = DatumGetTimestampTz(state->values[fields[i]]);

		if (state->nulls[fields[i]] || (found && at >= *deadline))
			continue;
		*deadline = at;
		found = true;
	}
	return found;
}

static JsonbValue *
find_member(Jsonb *object, const char *key, JsonbValue *value)
{
	if (object == NULL || !JB_ROOT_IS_OBJECT(object))
		return NULL;
	return getKeyJsonValueFromContainer(&object->root, key, strlen(key), value);
}

Jsonb *
sierra_jsonb_member(Jsonb *object, const char *key)
{
	JsonbValue value;

	return find_member(object, key, &value) == NULL ? NULL : JsonbValueToJsonb(&value);
}

text *
sierra_jsonb_member_text(Jsonb *object, const char *key)
{
	JsonbValue value;
	Jsonb *other;

	if (find_member(object, key, &value) == NULL || value.type == jbvNull)
		return NULL;
	if (value.type == jbvString)
		return cstring_to_text_with_len(value.val.string.val, value.val.string.len);
	other = JsonbValueToJsonb(&value);
	return cstring_to_text(JsonbToCString(NULL, &other->root, VARSIZE(other)));
}
