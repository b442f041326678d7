/*
 * append_each.c
 *		Many calls in one statement: arguments in, an outcome for each call.
 *
 * Each call is accepted or refused by itself.
 */
#include "postgres.h"

#include "append/append.h"
#include "append/append_each.h"
#include "append/append_sql.h"
#include "append/tag_locks.h"
#include "base/text.h"

#include "miscadmin.h"
#include "utils/memutils.h"

/* The arguments: the arrays of the events, and then these. */
enum
{
	ARG_PARTITION_KEYS = SIERRA_ARRAYS,
	ARG_CONDITIONS,
	ARG_CALLS
};

/* A call as it is read: its elements, and where it goes. */
typedef struct Reading
{
	SierraBatch *batch;
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
number_of(const SierraBatch *batch, int i)
{
	return DatumGetInt32(batch->numbers.values[i]);
}

/* Calls must not be interrupted by others; numbers that ascend are not. */
static void
check_numbers(const SierraBatch *batch)
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
length_of_call(const SierraBatch *batch, int first)
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
	SierraBatch *batch = reading->batch;
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
read_calls(SierraBatch *batch)
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
append(SierraBatch *batch)
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

void
sierra_batch_run(FunctionCallInfo fcinfo, SierraBatch *batch)
{
	*batch = (SierraBatch){.count = 0};
	sierra_event_arrays_get(fcinfo, 0, batch->arrays, &batch->count);
	batch->partition_keys =
		sierra_array_get(fcinfo, ARG_PARTITION_KEYS, "partition_keys", &batch->count);
	batch->conditions = sierra_array_get(fcinfo, ARG_CONDITIONS, "conditions", &batch->count);
	batch->numbers = sierra_array_get(fcinfo, ARG_CALLS, "calls", &batch->count);
	if (batch->numbers.values != NULL)
		check_numbers(batch);
	batch->events =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SierraNewEvent) * Max(batch->count, 1));
	batch->calls = MemoryContextAllocHuge(CurrentMemoryContext,
										  sizeof(SierraAppendCall) * Max(batch->count, 1));
	batch->errors = read_calls(batch);
	append(batch);
}

void
sierra_batch_report(const SierraBatch *batch, SierraBatchRefused *refused,
					SierraBatchStored *stored, void *arg)
{
	const SierraAppendCall *call = batch->calls;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext memory =
		AllocSetContextCreate(caller, "sierra_es outcome of a call", ALLOCSET_SMALL_SIZES);
	int count;

	for (int first = 0; first < batch->count; first += count)
	{
		const ErrorData *error = batch->errors[first];

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(memory);
		MemoryContextSwitchTo(memory);
		count = error != NULL ? 1 : call->count;
		if (error == NULL)
			error = sierra_refusal_error(call->status, &call->refusal);
		if (error != NULL)
			refused(batch, error, first, count, arg);
		else
			stored(batch, call, arg);
		MemoryContextSwitchTo(caller);
		if (batch->errors[first] == NULL)
			call++;
	}
	MemoryContextDelete(memory);
}
