#include "fake_rows.h"

#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "base/json.h"
#include "base/text.h"
#include "store/event.h"

#define MAX_COLUMNS 20
#define MAX_ELEMENTS 4096

bool fake_is_empty;
int fake_partitions;
int64_t fake_head;

static uint32_t state;

void
fake_random_seed(uint32_t seed)
{
	state = seed * 2654435761u + 1;
}

uint32_t
fake_random(uint32_t limit)
{
	state = state * 1664525u + 1013904223u;
	return (uint32_t) (((uint64_t) (state >> 4) * limit) >> 28);
}

bool
fake_chance(uint32_t of)
{
	return fake_random(of) == 0;
}

/* ---- parameters ---- */

typedef struct Array
{
	int count;
	/* of each element; length -1: NULL */
	const char *values[MAX_ELEMENTS];
	int lengths[MAX_ELEMENTS];
} Array;

static uint32_t
get_int4(const char *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return ntohl(value);
}

static int64_t
get_int8(const char *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return (int64_t) be64toh(value);
}

static bool
is_null(const StoreRequest *request, int number)
{
	return request->parameters.lengths[number] < 0;
}

static const char *
parameter(const StoreRequest *request, int number, int length)
{
	assert(number < request->parameters.count);
	assert(length < 0 || request->parameters.lengths[number] == length);
	return request->parameters.data + request->parameters.offsets[number];
}

static int64_t
int8_parameter(const StoreRequest *request, int number)
{
	return get_int8(parameter(request, number, 8));
}

/* An array in PostgreSQL's binary format must end where the parameter ends. */
static void
read_array(const StoreRequest *request, int number, Array *array)
{
	const char *at = parameter(request, number, -1);
	const char *end = at + request->parameters.lengths[number];
	uint32_t dimensions = get_int4(at);

	assert(dimensions <= 1 && end - at >= 12);
	array->count = 0;
	at += 12;
	if (dimensions == 1)
	{
		array->count = (int) get_int4(at);
		assert(array->count > 0 && array->count <= MAX_ELEMENTS && get_int4(at + 4) == 1);
		at += 8;
	}
	for (int i = 0; i < array->count; i++)
	{
		assert(end - at >= 4);
		array->lengths[i] = (int) get_int4(at);
		at += 4;
		array->values[i] = at;
		assert(array->lengths[i] >= -1 && end - at >= array->lengths[i]);
		at += array->lengths[i] > 0 ? array->lengths[i] : 0;
	}
	assert(at == end);
}

/* ---- rows ---- */

static PGresult *
begin_rows(int columns)
{
	static char name[] = "column";
	PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc descriptions[MAX_COLUMNS] = {{0}};

	for (int i = 0; i < columns; i++)
	{
		descriptions[i].name = name;
		descriptions[i].format = 1;
	}
	if (!PQsetResultAttrs(result, columns, descriptions))
		abort();
	return result;
}

static void
put(PGresult *result, int row, int column, const void *bytes, size_t length)
{
	if (!PQsetvalue(result, row, column, (char *) bytes, (int) length))
		abort();
}

static void
put_null(PGresult *result, int row, int column)
{
	if (!PQsetvalue(result, row, column, NULL, -1))
		abort();
}

static void
put_int4(PGresult *result, int row, int column, int32_t value)
{
	uint32_t big_endian = htonl((uint32_t) value);

	put(result, row, column, &big_endian, sizeof(big_endian));
}

static void
put_int8(PGresult *result, int row, int column, int64_t value)
{
	uint64_t big_endian = htobe64((uint64_t) value);

	put(result, row, column, &big_endian, sizeof(big_endian));
}

static void
put_uuid(PGresult *result, int row, int column)
{
	uint8_t bytes[16];

	for (int i = 0; i < 16; i++)
		bytes[i] = (uint8_t) fake_random(256);
	put(result, row, column, bytes, sizeof(bytes));
}

static void
put_text(PGresult *result, int row, int column, const char *text)
{
	put(result, row, column, text, strlen(text));
}

static const char *
some_text(void)
{
	static const char *const texts[] = {
		"s",
		"order-1",
		"order-2",
		"a\r\nb",
		"",
		"\xc3\xa4\xe2\x82\xac",
		"\"quoted\\\"",
		"%s%n%d",
		"empty",
		"12",
		"given key , its key ",
		"Stream \"s\": given key 11111111-1111-1111-1111-111111111111, its key "
		"22222222-2222-2222-2222-222222222222"};

	return texts[fake_random(sizeof(texts) / sizeof(texts[0]))];
}

static void
put_time(PGresult *result, int row, int column)
{
	static const int64_t times[] = {
		0, 1, -1, 820454400000000, INT64_MAX, INT64_MIN, -946684800000001};

	put_int8(result, row, column, times[fake_random(sizeof(times) / sizeof(times[0]))]);
}

/* What a store can have in metadata (0), payload (1) and payload_bytes (2). */
static void
put_data(PGresult *result, int row, int column, int kind)
{
	static const char *const texts[3][6] = {
		{"{}", "{\"a\": 1}", "{\"$bytes\": \"AAEC/w==\"}", "{\"$bytes\": \"A\"}",
		 "{\"$bytes\": \"\"}", "{\"$bytes\": \"=\"}"},
		{"{}", "[1, \"a\\r\\n\"]", "null", "\"\\u0000\"", "1e5", "{\"a\": {\"b\": []}}"},
		{"\xff\xfe", "", "\r\n", "{", "$5\r\n", "bytes"}};
	static char large[20000];

	if (fake_chance(3))
		put_null(result, row, column);
	else if (kind > 0 && fake_chance(40))
	{
		memset(large, kind == 1 ? '1' : '\0', sizeof(large));
		put(result, row, column, large, sizeof(large));
	}
	else
		put_text(result, row, column, texts[kind][fake_random(6)]);
}

/* An event keeps its id, so that it can be found again. */
static void
put_id(PGresult *result, int row, int column, int64_t position)
{
	uint8_t bytes[16] = {1};

	memcpy(bytes + 1, &position, sizeof(position));
	put(result, row, column, bytes, sizeof(bytes));
}

/* The columns of STORE_EVENT_COLUMNS. */
static void
put_event(PGresult *result, int row, int64_t position, int partition, int64_t sequence,
		  const char *stream, size_t stream_length, int64_t version)
{
	bool has_bytes = fake_chance(3);

	put_int8(result, row, 0, position);
	put_int4(result, row, 1, partition);
	put_int8(result, row, 2, sequence);
	put(result, row, 3, stream, stream_length);
	put_int8(result, row, 4, version);
	put_id(result, row, 5, position);
	put_text(result, row, 6, some_text());
	put_time(result, row, 7);
	put_uuid(result, row, 8);
	put_uuid(result, row, 9);
	put_data(result, row, 10, 0);
	if (has_bytes)
		put_null(result, row, 11);
	else
		put_data(result, row, 11, 1);
	if (has_bytes)
		put_data(result, row, 12, 2);
	else
		put_null(result, row, 12);
}

static int
some_partition(void)
{
	return (int) fake_random((uint32_t) fake_partitions);
}

static void
put_some_event(PGresult *result, int row, int64_t position)
{
	const char *stream = some_text();

	put_event(result, row, position, some_partition(), fake_random(20), stream, strlen(stream),
			  fake_random(20));
}

/* How many rows there are, of most that can be. */
static int
row_count(int64_t most)
{
	uint32_t few = fake_is_empty ? 1 : fake_chance(8) ? 300 : 4;

	return (int) fake_random(most < few ? (uint32_t) most + 1 : few);
}

/* ---- the statements ---- */

static PGresult *
answer_number(const StoreRequest *request)
{
	PGresult *result = begin_rows(1);

	(void) request;
	if (fake_is_empty || fake_chance(4))
		put_null(result, 0, 0);
	else
		put_int8(result, 0, 0, fake_chance(8) ? INT64_C(1) << 62 : fake_random(10));
	return result;
}

static PGresult *
answer_get(const StoreRequest *request)
{
	PGresult *result = begin_rows(STORE_EVENT_COLUMN_COUNT);

	parameter(request, 0, 16);
	if (row_count(1) > 0)
		put_some_event(result, 0, 1);
	return result;
}

/* An event of a pack, as src/read/event_pack.c writes it. */
static void
add_packed(struct evbuffer *pack, int64_t number)
{
	static const char *const metadatas[] = {"", "{}", "{\"$bytes\": \"AAEC/w==\"}",
											"{\"$bytes\": \"A\"}"};
	static const char *const payloads[] = {"", "{}", "\r\n", "\xff\xfe"};
	const char *strings[] = {some_text(), some_text(), metadatas[fake_random(4)],
							 payloads[fake_random(4)]};
	uint64_t numbers[] = {fake_random(1000), (uint64_t) number, (uint64_t) number,
						  fake_chance(4) ? UINT64_MAX / 2 : fake_random(1000)};
	uint32_t lengths[] = {(uint32_t) some_partition(), 0, 0, 0, 0};
	uint8_t ids[48];

	for (int i = 0; i < 4; i++)
	{
		numbers[i] = htobe64(numbers[i]);
		lengths[i + 1] = htonl((uint32_t) strlen(strings[i]));
	}
	for (int i = 0; i < 48; i++)
		ids[i] = (uint8_t) fake_random(256);
	lengths[0] = htonl(lengths[0]);
	evbuffer_add(pack, numbers, sizeof(numbers));
	evbuffer_add(pack, ids, sizeof(ids));
	evbuffer_add(pack, lengths, sizeof(lengths));
	for (int i = 0; i < 4; i++)
		evbuffer_add(pack, strings[i], strlen(strings[i]));
}

/* Puts what was packed, now and then cut off, as no server would do it. */
static PGresult *
put_pack(struct evbuffer *pack)
{
	PGresult *result = begin_rows(1);
	size_t length = evbuffer_get_length(pack);

	if (fake_chance(30))
		length = fake_random((uint32_t) length);
	put(result, 0, 0, evbuffer_pullup(pack, -1), length);
	evbuffer_free(pack);
	return result;
}

static PGresult *
answer_scan(const StoreRequest *request)
{
	struct evbuffer *pack = evbuffer_new();
	bool is_stream = request->parameters.count == 5;
	int first = is_stream ? 1 : 2;
	int64_t from = int8_parameter(request, first);
	int64_t to = is_null(request, first + 1) ? INT64_MAX : int8_parameter(request, first + 1);
	int64_t most = int8_parameter(request, first + 2);
	int count;

	parameter(request, first + 3, 4);
	assert(from >= 0 && most >= 0 && (is_stream || is_null(request, 0) != is_null(request, 1)));
	count = from <= to ? row_count(most) : 0;
	while (from > to - count)
		count--;
	/* is there more behind it? */
	evbuffer_add(pack, count > 0 && !fake_is_empty && fake_chance(3) ? "\1" : "", 1);
	for (int i = 0; i < count; i++)
		add_packed(pack, from + i);
	return put_pack(pack);
}

static PGresult *
answer_cache(const StoreRequest *request)
{
	PGresult *result = begin_rows(4);

	(void) request;
	for (int i = 0; i < 4 && !fake_is_empty; i++)
		put_int8(result, 0, i, fake_random(3) * 1000);
	return result;
}

/* Names as PostgreSQL takes them: one that it refuses makes a whole batch fail. */
static void
check_texts(const Array *texts, size_t most)
{
	for (int i = 0; i < texts->count; i++)
	{
		size_t length = (size_t) texts->lengths[i];

		if (texts->lengths[i] < 0)
			continue;
		assert(length <= most && text_is_utf8(texts->values[i], length));
		assert(memchr(texts->values[i], '\0', length) == NULL);
	}
}

static void
check_json(const Array *values)
{
	for (int i = 0; i < values->count; i++)
		if (values->lengths[i] >= 0)
			assert(json_is_valid(values->values[i], (size_t) values->lengths[i]));
}

/* Arrays of one batch have the same number of elements. */
static int
check_batch(const StoreRequest *request)
{
	/* text, text, json, json, expected_version, uuid, timestamptz, bytea, text, int4 */
	static const int lengths[] = {-1, -1, -1, -1, 8, 16, 8, -1, 36, 4};
	static Array array;
	int count = 0;

	assert(request->parameters.count == 10);
	for (int i = 0; i < 10; i++)
	{
		if (is_null(request, i))
			continue;
		read_array(request, i, &array);
		if (i == 0)
			count = array.count;
		assert(array.count == count);
		for (int j = 0; j < count && lengths[i] >= 0; j++)
			assert(array.lengths[j] == lengths[i] || (array.lengths[j] < 0 && (i == 6 || i == 8)));
		if (i < 2)
			check_texts(&array, 255);
		if (i == 2 || i == 3)
			check_json(&array);
	}
	return count;
}

static void
add_refusal(struct evbuffer *pack)
{
	static const char *const states[] = {"SE001", "SE002", "SE003", "22P02",
										 "42501", "23505", "40001"};

	evbuffer_add(pack, "", 1);
	evbuffer_add(pack, states[fake_random(7)], 6);
	for (int i = 0; i < 5; i++)
	{
		const char *text = some_text();

		evbuffer_add(pack, text, strlen(text) + 1);
	}
}

static void
add_appended(struct evbuffer *pack)
{
	uint8_t ids[32];
	uint32_t partition = htonl((uint32_t) some_partition());
	uint64_t numbers[] = {htobe64(fake_random(100)), htobe64(fake_random(100)),
						  htobe64(fake_chance(4) ? UINT64_MAX : fake_random(100))};

	for (int i = 0; i < 32; i++)
		ids[i] = (uint8_t) fake_random(256);
	evbuffer_add(pack, "\1", 1);
	evbuffer_add(pack, ids, sizeof(ids));
	evbuffer_add(pack, &partition, sizeof(partition));
	evbuffer_add(pack, numbers, sizeof(numbers));
}

/* The outcome of each event, as src/append/append_each_sql.c writes it. */
static PGresult *
answer_append(const StoreRequest *request)
{
	struct evbuffer *pack = evbuffer_new();
	int count = check_batch(request);

	for (int i = 0; i < count; i++)
	{
		if (fake_chance(fake_is_empty ? 2 : 6))
			add_refusal(pack);
		else
			add_appended(pack);
	}
	return put_pack(pack);
}

static PGresult *
answer_start(const StoreRequest *request)
{
	static Array streams;
	PGresult *result = begin_rows(4);
	int partitions = (int) get_int4(parameter(request, 1, 4));
	int rows;

	read_array(request, 0, &streams);
	rows = streams.count + partitions;
	for (int i = 0; i < rows || i == 0; i++)
	{
		put_int8(result, i, 0, fake_head);
		put_null(result, i, 1);
		put_null(result, i, 2);
		put_null(result, i, 3);
		if (i >= rows)
			break;
		put_int4(result, i, 1, i >= streams.count);
		put_int4(result, i, 2, i < streams.count ? i + 1 : i - streams.count);
		if (!fake_is_empty && fake_chance(2))
			put_int8(result, i, 3, fake_random(5));
	}
	return result;
}

/* It is dropped and created again now and then. */
static int32_t
some_store(void)
{
	return fake_chance(20) ? 70011 : 70010;
}

static void
put_bool(PGresult *result, int row, int column, bool value)
{
	put(result, row, column, value ? "\1" : "", 1);
}

static PGresult *
answer_head(const StoreRequest *request)
{
	PGresult *result = begin_rows(4);

	(void) request;
	put_int8(result, 0, 0, fake_head);
	put_int8(result, 0, 1, fake_is_empty ? -1 : fake_head);
	put_id(result, 0, 2, fake_head);
	put_int4(result, 0, 3, some_store());
	return result;
}

/* To wait for it means that there is something new. */
static PGresult *
answer_wait(const StoreRequest *request)
{
	PGresult *result = begin_rows(1);

	int8_parameter(request, 0);
	fake_head += 1 + fake_random(4);
	put_int8(result, 0, 0, fake_head);
	return result;
}

static PGresult *
answer_follower(const StoreRequest *request)
{
	PGresult *result = begin_rows(STORE_EVENT_COLUMN_COUNT + 5);
	int64_t position = int8_parameter(request, 0);
	/* after a crash or a failover, the event that is asked for can be another one, or none */
	bool is_lost = fake_chance(10);
	/* with enough bytes, a page ends before its last event */
	bool is_cut = fake_chance(8);
	int32_t store = some_store();
	int count = 0;

	/* some positions have no event */
	while (++position <= fake_head && count < 8)
		if (!fake_chance(4))
			put_some_event(result, count++, position);
	if (count == 0)
		for (int i = 0; i < STORE_EVENT_COLUMN_COUNT; i++)
			put_null(result, 0, i);
	for (int i = 0; i < count || i == 0; i++)
	{
		put_int8(result, i, STORE_EVENT_COLUMN_COUNT, fake_head);
		put_int8(result, i, STORE_EVENT_COLUMN_COUNT + 1, i + 1);
		put_bool(result, i, STORE_EVENT_COLUMN_COUNT + 3, i + 1 == count && !is_cut);
		put_int4(result, i, STORE_EVENT_COLUMN_COUNT + 4, store);
		if (is_null(request, 3) || (is_lost && fake_chance(2)))
			put_null(result, i, STORE_EVENT_COLUMN_COUNT + 2);
		else
			put_id(result, i, STORE_EVENT_COLUMN_COUNT + 2, int8_parameter(request, 3) - is_lost);
	}
	return result;
}

/* Columns behind those of the event. */
static void
put_place(PGresult *result, int row, int64_t place, bool is_last)
{
	put_int8(result, row, STORE_EVENT_COLUMN_COUNT, place);
	put_bool(result, row, STORE_EVENT_COLUMN_COUNT + 1, is_last);
}

static PGresult *
answer_positions(const StoreRequest *request)
{
	static Array filter;
	PGresult *result = begin_rows(STORE_EVENT_COLUMN_COUNT + 2);
	int64_t after = int8_parameter(request, 0);
	int64_t most = int8_parameter(request, 1);
	int64_t to = int8_parameter(request, 2);
	int64_t last = after;
	int64_t looked = 0;
	int rows = 0;

	assert(most > 0);
	if (!is_null(request, 3))
		read_array(request, 3, &filter);
	while (last < to && looked < most && looked < 6)
	{
		bool is_last;

		looked++;
		last += to - last > 3 ? 1 + fake_random(3) : 1;
		is_last = looked == most || looked == 6 || last == to;
		/* with enough bytes, the page ends before; the last event comes, wanted or not */
		if (fake_chance(20))
			break;
		if (fake_chance(2) || is_last)
		{
			put_some_event(result, rows, last);
			put_place(result, rows++, looked, is_last);
		}
	}
	return result;
}

static PGresult *
answer_numbered(const StoreRequest *request, bool of_streams)
{
	static Array sources;
	static Array numbers;
	PGresult *result = begin_rows(STORE_EVENT_COLUMN_COUNT + 2);
	int64_t most = int8_parameter(request, 2);
	int rows = 0;

	assert(most > 0);
	read_array(request, 0, &sources);
	read_array(request, 1, &numbers);
	assert(sources.count == numbers.count);
	for (int i = 0; i < sources.count; i++)
	{
		int64_t next = get_int8(numbers.values[i]);
		int count = row_count(most - rows);

		assert(next >= 0);
		for (int j = 0; j < count && next < INT64_MAX - 1000; j++, rows++)
		{
			int64_t position = fake_random((uint32_t) fake_head + 2);

			if (of_streams)
				put_event(result, rows, position, some_partition(), j, sources.values[i],
						  (size_t) sources.lengths[i], next + j);
			else
				put_event(result, rows, position, (int) get_int4(sources.values[i]), next + j, "s",
						  1, j);
		}
	}
	for (int i = 0; i < rows; i++)
		put_place(result, i, i + 1, i + 1 == rows && !fake_chance(8));
	return result;
}

static PGresult *
answer_streams(const StoreRequest *request)
{
	return answer_numbered(request, true);
}

static PGresult *
answer_partitions(const StoreRequest *request)
{
	return answer_numbered(request, false);
}

typedef struct FakeStatement
{
	const char *name;
	PGresult *(*answer)(const StoreRequest *request);
} FakeStatement;

static const FakeStatement statements[] = {
	{"append", answer_append},
	{"get", answer_get},
	{"version", answer_number},
	{"sequence", answer_number},
	{"scan", answer_scan},
	{"scan_partition", answer_scan},
	{"cache", answer_cache},
	{"subscription_start", answer_start},
	{"follower_head", answer_head},
	{"follower_wait", answer_wait},
	{"follower_read", answer_follower},
	{"history_positions", answer_positions},
	{"history_streams", answer_streams},
	{"history_partitions", answer_partitions},
};

PGresult *
fake_rows(const StoreRequest *request)
{
	size_t i = 0;

	while (strcmp(statements[i].name, request->statement->name) != 0)
		assert(++i < sizeof(statements) / sizeof(statements[0]));
	return statements[i].answer(request);
}
