#include "command/info_cache.h"

#include <stdlib.h>

#include "base/memory.h"
#include "command/failure.h"
#include "store/event.h"

/* The statistics of the database; size of the cache, and of a block, from the settings. */
static const StoreStatement cache_statement = {
	"cache", "SELECT coalesce(d.blks_hit, 0), coalesce(d.blks_read, 0),"
			 " pg_catalog.current_setting('block_size')::pg_catalog.int8,"
			 " pg_catalog.pg_size_bytes(pg_catalog.current_setting('shared_buffers'))"
			 " FROM pg_catalog.pg_stat_database AS d"
			 " WHERE d.datname = pg_catalog.current_database()"};

typedef struct CacheQuestion
{
	Call *call;
	StoreRequest request;
	int64_t hits;
	int64_t misses;
	int64_t block_size;
	int64_t cache_size;
} CacheQuestion;

static void
take_row(StoreRequest *request, const PGresult *result, int row)
{
	CacheQuestion *question = request->arg;

	question->hits = store_int8(result, row, 0);
	question->misses = store_int8(result, row, 1);
	question->block_size = store_int8(result, row, 2);
	question->cache_size = store_int8(result, row, 3);
}

static void
add_number(Reply *reply, const char *key, int64_t value)
{
	reply_bulk_text(reply, key);
	reply_integer(reply, value);
}

/* The keys are SierraDB's.  PostgreSQL's cache is full once it is warm, and counts no evictions. */
static void
finish(StoreRequest *request, const StoreError *error)
{
	CacheQuestion *question = request->arg;
	int64_t all = question->hits + question->misses;
	Reply reply;

	if (error != NULL)
		call_store_error(question->call, error);
	else
	{
		call_begin(question->call, &reply);
		reply_map(&reply, 8);
		add_number(&reply, "hits", question->hits);
		add_number(&reply, "misses", question->misses);
		reply_bulk_text(&reply, "hit_ratio");
		reply_double(&reply, all > 0 ? (double) question->hits / (double) all : 0.0);
		add_number(&reply, "entries",
				   question->block_size > 0 ? question->cache_size / question->block_size : 0);
		add_number(&reply, "memory_bytes", question->cache_size);
		add_number(&reply, "max_bytes", question->cache_size);
		add_number(&reply, "block_size_bytes", question->block_size);
		add_number(&reply, "evictions", 0);
		call_end(question->call, &reply);
	}
	parameters_free(&request->parameters);
	free(question);
}

void
run_info_cache(Call *call)
{
	CacheQuestion *question = mem_zero(sizeof(CacheQuestion));
	Client *client = call->client;

	question->call = call;
	question->request.statement = &cache_statement;
	question->request.arg = question;
	question->request.row = take_row;
	question->request.done = finish;
	link_send(store_reader(client->role, client->id), &question->request);
}
