#include "store/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/settings.h"
#include "store/batch.h"
#include "store/metadata.h"

struct StoreWriter
{
	StoreRole *role;
	StoreLink *link;
	bool is_closing;
	/* waits for the batch that is out to end */
	StoreAppend *first;
	StoreAppend *last;
	/* the batch that is out; request.arg is the writer */
	StoreAppend *batch;
	int batch_count;
	StoreRequest request;
	/* the outcome of the batch has been read */
	bool has_outcome;
	/* at the end of this turn of the loop, a batch is sent */
	struct event *turn_end;
};

static void begin_result(StoreRequest *request);
static void take_result(StoreRequest *request, const PGresult *result, int row);
static void end_batch(StoreRequest *request, const StoreError *error);

static void
forget_refusal(StoreAppend *append)
{
	free(append->refusal);
	append->refusal = NULL;
}

static void
build(StoreRequest *request, const StoreFacts *facts)
{
	const StoreWriter *writer = request->arg;

	batch_parameters(writer->batch, facts->expected_version_type, facts->json_type,
					 &request->parameters);
}

/* Cuts a batch off the queue: as many as may be committed together, but an append that is alone. */
static void
take_batch(StoreWriter *writer)
{
	StoreAppend *last = writer->first;
	int events = last->count;
	size_t bytes = last->bytes;

	writer->batch = writer->first;
	writer->batch_count = 1;
	while (last->next != NULL && !last->is_alone && !last->next->is_alone)
	{
		events += last->next->count;
		bytes += last->next->bytes;
		if (events > settings.batch_events || bytes > (size_t) settings.batch_size)
			break;
		last = last->next;
		writer->batch_count++;
	}
	writer->first = last->next;
	if (writer->first == NULL)
		writer->last = NULL;
	last->next = NULL;
}

static void
send_batch(StoreWriter *writer)
{
	if (writer->batch != NULL || writer->first == NULL || writer->is_closing)
		return;
	take_batch(writer);
	counters.batches++;
	writer->request = (StoreRequest){.statement = &batch_statement,
									 .build = build,
									 .begin = begin_result,
									 .row = take_result,
									 .writes = true,
									 .done = end_batch,
									 .arg = writer};
	link_send(writer->link, &writer->request);
}

static void
on_turn_end(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	send_batch(arg);
}

/* ---- the outcome ---- */

static void
begin_result(StoreRequest *request)
{
	StoreWriter *writer = request->arg;

	writer->has_outcome = false;
	for (StoreAppend *append = writer->batch; append != NULL; append = append->next)
		forget_refusal(append);
}

static void
take_result(StoreRequest *request, const PGresult *result, int row)
{
	StoreWriter *writer = request->arg;

	writer->has_outcome = batch_outcome(writer->batch, PQgetvalue(result, row, 0),
										(size_t) PQgetlength(result, row, 0));
}

static void
end_append(StoreAppend *append, const StoreError *error)
{
	AppendRefusal *refusal = append->refusal;

	append->refusal = NULL;
	if (error == NULL && refusal != NULL)
	{
		counters.refused_appends++;
		error = &refusal->error;
	}
	else if (error == NULL)
		counters.appended_events += (uint64_t) append->count;
	append->done(append, error);
	free(refusal);
}

/*
 * One append has made the statement fail, and which one is not known: each is sent again by
 * itself, before all others.
 */
static void
split_batch(StoreWriter *writer, StoreAppend *batch)
{
	StoreAppend *last = batch;

	counters.split_batches++;
	for (StoreAppend *append = batch; append != NULL; append = append->next)
	{
		append->is_alone = true;
		forget_refusal(append);
		last = append;
	}
	last->next = writer->first;
	if (writer->first == NULL)
		writer->last = last;
	writer->first = batch;
}

static void
end_batch(StoreRequest *request, const StoreError *error)
{
	static const StoreError no_outcome = {
		STORE_REFUSED, "XX000", "the store has answered with a damaged value", "", "", "", ""};
	StoreWriter *writer = request->arg;
	StoreAppend *append = writer->batch;

	parameters_free(&request->parameters);
	if (error == NULL && !writer->has_outcome)
		error = &no_outcome;
	writer->batch = NULL;
	if (error != NULL && error->failure == STORE_REFUSED && writer->batch_count > 1)
	{
		log_line(LOG_WARNING, "%d appends of %s are repeated one by one: %s %s",
				 writer->batch_count, store_role_name(writer->role), error->sqlstate,
				 error->message);
		split_batch(writer, append);
		append = NULL;
	}
	/* the next batch is under way while clients get their answers */
	send_batch(writer);
	while (append != NULL)
	{
		StoreAppend *next = append->next;

		end_append(append, error);
		append = next;
	}
}

/* ---- what others call ---- */

StoreWriter *
writer_create(StoreRole *role, int number)
{
	StoreWriter *writer = mem_zero(sizeof(StoreWriter));
	char name[32];

	snprintf(name, sizeof(name), "writer %d", number);
	writer->role = role;
	writer->link = link_create(role, name);
	writer->turn_end = evtimer_new(store_base(), on_turn_end, writer);
	return writer;
}

/* With the batch that is out, the link ends its appends; this ends those that wait for the next. */
static void
end_waiting(StoreWriter *writer)
{
	static const StoreError closed = {STORE_DOWN, "", "the role has been closed", "", "", "", ""};

	while (writer->first != NULL)
	{
		StoreAppend *append = writer->first;

		writer->first = append->next;
		end_append(append, &closed);
	}
}

void
writer_destroy(StoreWriter *writer)
{
	writer->is_closing = true;
	link_destroy(writer->link);
	end_waiting(writer);
	event_free(writer->turn_end);
	free(writer);
}

/* What decides where the bytes of an event are stored. */
static void
examine(StoreAppend *append)
{
	append->bytes = 0;
	for (int i = 0; i < append->count; i++)
	{
		AppendEvent *event = &append->events[i];

		event->is_json =
			event->payload_length > 0 && json_is_valid(event->payload, event->payload_length);
		event->needs_envelope = event->metadata_length > 0 &&
								metadata_needs_envelope(event->metadata, event->metadata_length);
		append->bytes += event->stream_id_length + event->event_name_length +
						 event->payload_length + event->metadata_length;
	}
}

void
writer_add(StoreWriter *writer, StoreAppend *append)
{
	examine(append);
	counters.appends++;
	append->is_alone = false;
	append->refusal = NULL;
	append->next = NULL;
	if (writer->last != NULL)
		writer->last->next = append;
	else
		writer->first = append;
	writer->last = append;
	/* runs when all that has arrived in this turn of the loop has been read */
	if (writer->batch == NULL)
		event_active(writer->turn_end, EV_TIMEOUT, 0);
}

const StoreFacts *
writer_facts(const StoreWriter *writer)
{
	return link_facts(writer->link);
}
