/*
 * append_each_sql.c
 *		The SQL function eappend_each(): many calls in one statement.
 *
 * Each call is accepted or refused by itself.  A refusal is a row of the result and not an error,
 * so it does not undo the other calls.
 */
#include "postgres.h"

#include "append/append.h"
#include "append/append_sql.h"
#include "append/event_arrays.h"
#include "append/tag_locks.h"
#include "base/text.h"
#include "store/extension.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(sierra_eappend_each);

/* The arguments: the arrays of the events, and then these. */
enum
{
	ARG_PARTITION_KEYS = SIERRA_ARRAYS,
	ARG_CONDITIONS,
	ARG_CALLS
};

/* Columns of sierra_append_outcome: these, and then those of sierra_append_result. */
enum
{
	COLUMN_STATUS,
	COLUMN_SQLSTATE,
	COLUMN_MESSAGE,
	COLUMN_DETAIL,
	COLUMN_HINT,
	COLUMN_TABLE,
	COLUMN_COLUMN,
	COLUMN_CONSTRAINT,
	COLUMN_RESULT,
	COLUMNS = COLUMN_RESULT + SIERRA_APPEND_RESULT_COLUMNS
};

/* Of the columns of sierra_append_result, those that a refused event has too. */
#define RESULT_EVENT_ID 0
#define RESULT_STREAM_ID 4

/* The calls of a statement. */
typedef struct Batch
{
	SierraArray arrays[SIERRA_ARRAYS];
	SierraArray partition_keys;
	SierraArray conditions;
	SierraArray numbers; /* of the calls */
	int count;			 /* of elements */
	SierraNewEvent *events;
	int nevents;			 /* of calls that were read */
	SierraAppendCall *calls; /* that were read */
	int ncalls;
	SierraAppendResult *results;
} Batch;

/* A call as it is read: its elements, and where it goes. */
typedef struct Reading
{
	Batch *batch;
	int first;
	int count;
} Reading;

static int
compare_numbers(const void *a, const void *b)
{
	int32 x = *(const int32 *) a;
	int32 y = *(const int32 *) b;

	return x < y ? -1 : x > y;
}

static int32
number_of(const Batch *batch, int i)
{
	return DatumGetInt32(batch->numbers.values[i]);
}

/* Calls must not be interrupted by others; numbers that ascend are not. */
static void
check_numbers(const Batch *batch)
{
	int32 *numbers;
	int count = 0;
	bool ascending = true;

	for (int i = 0; i < batch->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (batch->numbers.nulls[i])
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("argument \"%s\" must not contain nulls", "calls"),
					errdetail("Element %d is null.", i + 1),
					errhint("Pass NULL for the whole array if each event is a call of its own."));
		ascending &= i == 0 || number_of(batch, i) >= number_of(batch, i - 1);
	}
	if (ascending)
		return;
	numbers = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int32) * batch->count);
	for (int i = 0; i < batch->count; i++)
	{
		if (i == 0 || number_of(batch, i) != number_of(batch, i - 1))
			numbers[count++] = number_of(batch, i);
	}
	qsort(numbers, count, sizeof(int32), compare_numbers);
	for (int i = 1; i < count; i++)
	{
		if (numbers[i] == numbers[i - 1])
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("the events of a call must follow each other"),
					errdetail("Other calls are between events of call %d.", numbers[i]),
					errhint("Sort the arrays by \"calls\"."));
	}
	pfree(numbers);
}

/* The number of elements of the call that begins with this one. */
static int
length_of_call(const Batch *batch, int first)
{
	int end = first + 1;

	while (batch->numbers.values != NULL && end < batch->count &&
		   number_of(batch, end) == number_of(batch, first))
		end++;
	return end - first;
}

/*
 * A value that a call has once: that of its first element.  The others of the call must be null
 * or the same.
 */
static text *
value_of_call(const Reading *reading, const SierraArray *array, const char *name)
{
	int end = reading->first + reading->count;
	text *value = sierra_array_has(array, reading->first)
					  ? DatumGetTextPP(array->values[reading->first])
					  : NULL;

	for (int i = reading->first + 1; i < end && array->values != NULL; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (sierra_array_has(array, i) &&
			(value == NULL || !sierra_text_equal(DatumGetTextPP(array->values[i]), value)))
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("the events of a call must have the same element of \"%s\"", name),
					errdetail("Element %d is not that of the first event of its call.", i + 1),
					errhint("Pass it with the first event of the call, and NULL with the others."));
	}
	return value;
}

/* Reads and checks a call; raises what eappend() would raise before it looks at the store. */
static void
read_call(void *arg)
{
	const Reading *reading = arg;
	Batch *batch = reading->batch;
	SierraNewEvent *events = &batch->events[batch->nevents];
	SierraAppendCall *call = &batch->calls[batch->ncalls];
	const text *key = value_of_call(reading, &batch->partition_keys, "partition_keys");
	const text *condition = value_of_call(reading, &batch->conditions, "conditions");

	for (int i = 0; i < reading->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		sierra_event_arrays_read(batch->arrays, reading->first + i, &events[i]);
	}
	sierra_append_read_call(key, events, reading->count, condition, call);
	call->first = batch->nevents;
}

/*
 * Reads all calls.  Returns the error of each element whose call is refused, else NULL; the
 * events of these calls are left out.
 */
static ErrorData **
read_calls(Batch *batch)
{
	ErrorData **errors =
		MemoryContextAllocExtended(CurrentMemoryContext, sizeof(ErrorData *) * batch->count,
								   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	Reading reading = {.batch = batch, .first = 0};

	while (reading.first < batch->count)
	{
		ErrorData *error;

		reading.count = length_of_call(batch, reading.first);
		error = sierra_refusal_catch(read_call, &reading);
		if (error == NULL)
		{
			batch->ncalls++;
			batch->nevents += reading.count;
		}
		for (int i = 0; i < reading.count && error != NULL; i++)
			errors[reading.first + i] = error;
		reading.first += reading.count;
	}
	return errors;
}

static void
set_text(Datum *values, bool *nulls, int column, const char *value)
{
	nulls[column] = value == NULL;
	if (value != NULL)
		values[column] = CStringGetTextDatum(value);
}

static void
form_refusal(const ErrorData *error, Datum *values, bool *nulls)
{
	memset(nulls, true, sizeof(bool) * COLUMNS);
	set_text(values, nulls, COLUMN_STATUS, "refused");
	set_text(values, nulls, COLUMN_SQLSTATE, unpack_sql_state(error->sqlerrcode));
	set_text(values, nulls, COLUMN_MESSAGE, error->message);
	set_text(values, nulls, COLUMN_DETAIL, error->detail);
	set_text(values, nulls, COLUMN_HINT, error->hint);
	set_text(values, nulls, COLUMN_TABLE, error->table_name);
	set_text(values, nulls, COLUMN_COLUMN, error->column_name);
	set_text(values, nulls, COLUMN_CONSTRAINT, error->constraint_name);
}

static void
put(ReturnSetInfo *rsinfo, Datum *values, bool *nulls)
{
	CHECK_FOR_INTERRUPTS();
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* The rows of elements whose call is refused. */
static void
put_refused(const Batch *batch, ReturnSetInfo *rsinfo, const ErrorData *error, int first, int count)
{
	const SierraArray *ids = &batch->arrays[SIERRA_ARRAY_EVENT_IDS];
	const SierraArray *streams = &batch->arrays[SIERRA_ARRAY_STREAM_IDS];
	Datum values[COLUMNS] = {0};
	bool nulls[COLUMNS];

	form_refusal(error, values, nulls);
	for (int i = first; i < first + count; i++)
	{
		nulls[COLUMN_RESULT + RESULT_EVENT_ID] = !sierra_array_has(ids, i);
		if (sierra_array_has(ids, i))
			values[COLUMN_RESULT + RESULT_EVENT_ID] = ids->values[i];
		nulls[COLUMN_RESULT + RESULT_STREAM_ID] = !sierra_array_has(streams, i);
		values[COLUMN_RESULT + RESULT_STREAM_ID] = streams->values[i];
		put(rsinfo, values, nulls);
	}
}

/* The rows of a call that has been appended, now or before. */
static void
put_stored(const Batch *batch, ReturnSetInfo *rsinfo, const SierraAppendCall *call, Datum appended,
		   Datum repeated)
{
	Datum values[COLUMNS] = {0};
	bool nulls[COLUMNS];

	memset(nulls, true, sizeof(nulls));
	nulls[COLUMN_STATUS] = false;
	values[COLUMN_STATUS] = call->status == SIERRA_APPEND_DONE ? appended : repeated;
	for (int i = call->first; i < call->first + call->count; i++)
	{
		sierra_append_form_result(&batch->events[i], &batch->results[i], &values[COLUMN_RESULT],
								  &nulls[COLUMN_RESULT]);
		put(rsinfo, values, nulls);
	}
}

static void
put_rows(FunctionCallInfo fcinfo, const Batch *batch, ErrorData **errors)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const SierraAppendCall *call = batch->calls;
	Datum appended = CStringGetTextDatum("appended");
	Datum repeated = CStringGetTextDatum("repeated");
	int count;

	InitMaterializedSRF(fcinfo, 0);
	sierra_extension_check_desc(rsinfo->setDesc, COLUMNS);
	for (int first = 0; first < batch->count; first += count)
	{
		const ErrorData *error = errors[first];

		count = error != NULL ? 1 : call->count;
		if (error == NULL)
			error = sierra_refusal_error(call->status, &call->refusal);
		if (error != NULL)
			put_refused(batch, rsinfo, error, first, count);
		else
			put_stored(batch, rsinfo, call, appended, repeated);
		if (errors[first] == NULL)
			call++;
	}
}

static void
append(Batch *batch)
{
	SierraStore *store = sierra_tag_locks_need_store(batch->events, batch->calls, batch->ncalls)
							 ? sierra_store_open_alone()
							 : sierra_store_open(ACL_INSERT);

	if (batch->ncalls == 0)
		return;
	batch->results =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SierraAppendResult) * batch->nevents);
	sierra_append_calls(store, batch->events, batch->calls, batch->ncalls, batch->results);
}

Datum
sierra_eappend_each(PG_FUNCTION_ARGS)
{
	Batch batch = {.count = 0};
	ErrorData **errors;

	sierra_event_arrays_get(fcinfo, 0, batch.arrays, &batch.count);
	batch.partition_keys =
		sierra_array_get(fcinfo, ARG_PARTITION_KEYS, "partition_keys", &batch.count);
	batch.conditions = sierra_array_get(fcinfo, ARG_CONDITIONS, "conditions", &batch.count);
	batch.numbers = sierra_array_get(fcinfo, ARG_CALLS, "calls", &batch.count);
	if (batch.numbers.values != NULL)
		check_numbers(&batch);
	batch.events =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SierraNewEvent) * Max(batch.count, 1));
	batch.calls = MemoryContextAllocHuge(CurrentMemoryContext,
										 sizeof(SierraAppendCall) * Max(batch.count, 1));
	errors = read_calls(&batch);
	append(&batch);
	put_rows(fcinfo, &batch, errors);
	return (Datum) 0;
}
