/*
 * read.c
 *		EGET, ESVER and EPSEQ: questions with one answer.
 */
#include <stdlib.h>

#include "base/counters.h"
#include "base/memory.h"
#include "command/arguments.h"
#include "command/command.h"
#include "command/event_reply.h"
#include "command/failure.h"
#include "command/partition_parameters.h"
#include "store/event.h"

static const StoreStatement eget_statement = {"get",
											  "SELECT " STORE_EVENT_COLUMNS " FROM @eget($1)"};
static const StoreStatement esver_statement = {"version", "SELECT @esver($1)"};
static const StoreStatement epseq_statement = {"sequence",
											   "SELECT @epseq($1, partition_key => $2)"};

typedef struct Question
{
	Call *call;
	StoreRequest request;
	StoreEvent *event;
	bool has_number;
	int64_t number;
} Question;

static void
begin(StoreRequest *request)
{
	Question *question = request->arg;

	store_event_unref(question->event);
	question->event = NULL;
	question->has_number = false;
}

static void
take_event(StoreRequest *request, const PGresult *result, int row)
{
	Question *question = request->arg;

	if (question->event == NULL)
		question->event = store_event_of_row(result, row);
}

static void
take_number(StoreRequest *request, const PGresult *result, int row)
{
	Question *question = request->arg;

	question->has_number = !PQgetisnull(result, row, 0);
	question->number = store_int8(result, row, 0);
}

static void
free_question(Question *question)
{
	store_event_unref(question->event);
	parameters_free(&question->request.parameters);
	free(question);
}

static void
answer_event(StoreRequest *request, const StoreError *error)
{
	Question *question = request->arg;
	Reply reply;

	if (error != NULL)
		call_store_error(question->call, error);
	else
	{
		counters.read_events += question->event != NULL;
		call_begin(question->call, &reply);
		if (question->event != NULL)
			event_reply_map(&reply, question->event);
		else
			reply_null(&reply);
		call_end(question->call, &reply);
	}
	free_question(question);
}

/* The number of the last event; in the tutorial's dialect the number of events. */
static void
answer_number(StoreRequest *request, const StoreError *error)
{
	Question *question = request->arg;
	Reply reply;

	if (error != NULL)
		call_store_error(question->call, error);
	else
	{
		call_begin(question->call, &reply);
		if (question->call->client->dialect == DIALECT_TUTORIAL)
			reply_integer(&reply, question->has_number ? question->number + 1 : 0);
		else if (question->has_number)
			reply_integer(&reply, question->number);
		else
			reply_null(&reply);
		call_end(question->call, &reply);
	}
	free_question(question);
}

static Question *
ask(Call *call, const StoreStatement *statement)
{
	Question *question = mem_zero(sizeof(Question));

	question->call = call;
	question->request.statement = statement;
	question->request.arg = question;
	question->request.begin = begin;
	question->request.row = statement == &eget_statement ? take_event : take_number;
	question->request.done = statement == &eget_statement ? answer_event : answer_number;
	return question;
}

static void
send_question(Question *question)
{
	Client *client = question->call->client;

	counters.reads++;
	link_send(store_reader(client->role, client->id), &question->request);
}

static void
run_eget(Call *call)
{
	ArgumentError error;
	Arguments arguments = {.request = call->request, .at = 1, .error = &error};
	Question *question;
	Uuid id;

	if (!argument_uuid(&arguments, "event id", &id) || !argument_end(&arguments))
	{
		call_error(call, "%s", error.text);
		return;
	}
	question = ask(call, &eget_statement);
	parameter_uuid(&question->request.parameters, &id);
	send_question(question);
}

static void
run_esver(Call *call)
{
	ArgumentError error;
	Arguments arguments = {.request = call->request, .at = 1, .error = &error};
	Question *question;
	const Word *stream;
	Uuid key;

	/* a stream has one partition key, so the name is enough */
	if (!argument_stream(&arguments, &stream) ||
		(argument_keyword(&arguments, "PARTITION_KEY") && !argument_key(&arguments, &key)) ||
		!argument_end(&arguments))
	{
		call_error(call, "%s", error.text);
		return;
	}
	question = ask(call, &esver_statement);
	parameter_bytes(&question->request.parameters, stream->data, stream->length);
	send_question(question);
}

bool
partition_is_there(const Call *call, const PartitionArgument *partition)
{
	return partition->is_key || partition->id < store_role_partitions(call->client->role);
}

void
partition_parameters(const PartitionArgument *partition, StoreParameters *parameters)
{
	char text[UUID_TEXT_SIZE];

	if (partition->is_key)
	{
		uuid_text(&partition->key, text);
		parameter_null(parameters);
		parameter_text(parameters, text);
	}
	else
	{
		parameter_int4(parameters, partition->id);
		parameter_null(parameters);
	}
}

static void
run_epseq(Call *call)
{
	ArgumentError error;
	Arguments arguments = {.request = call->request, .at = 1, .error = &error};
	PartitionArgument partition;
	Question *question;

	if (!argument_partition(&arguments, &partition) || !argument_end(&arguments))
	{
		call_error(call, "%s", error.text);
		return;
	}
	if (!partition_is_there(call, &partition))
	{
		call_error(call, "CLUSTERDOWN partition unavailable");
		return;
	}
	question = ask(call, &epseq_statement);
	partition_parameters(&partition, &question->request.parameters);
	send_question(question);
}

const Command read_commands[] = {
	{1, -1, false, {"EGET", CALL_READ, run_eget}},
	{1, -1, false, {"ESVER", CALL_READ, run_esver}},
	{1, -1, false, {"EPSEQ", CALL_READ, run_epseq}},
	{0},
};
