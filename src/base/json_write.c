/*
 * json_write.c
 *		Writes members of JSON objects.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/json_write.h"
#include "base/routing.h"

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"

void
sierra_json_add_name(StringInfo out, const char *name)
{
	if (out->len > 0 && out->data[out->len - 1] != '{')
		appendStringInfoChar(out, ',');
	appendStringInfo(out, "\"%s\":", name);
}

void
sierra_json_add_string(StringInfo out, const char *name, const char *value)
{
	sierra_json_add_name(out, name);
	escape_json(out, value);
}

void
sierra_json_add_text(StringInfo out, const char *name, const text *value)
{
	char *string = text_to_cstring(value);

	sierra_json_add_string(out, name, string);
	pfree(string);
}

void
sierra_json_add_int8(StringInfo out, const char *name, int64 value)
{
	sierra_json_add_name(out, name);
	appendStringInfo(out, INT64_FORMAT, value);
}

void
sierra_json_add_uuid(StringInfo out, const char *name, const pg_uuid_t *value)
{
	char *string = sierra_uuid_text(value);

	sierra_json_add_string(out, name, string);
	pfree(string);
}

void
sierra_json_add_time(StringInfo out, const char *name, TimestampTz value)
{
	char buffer[MAXDATELEN + 1];
	int utc = 0;

	JsonEncodeDateTime(buffer, TimestampTzGetDatum(value), TIMESTAMPTZOID, &utc);
	sierra_json_add_string(out, name, buffer);
}

void
sierra_json_add_base64(StringInfo out, const char *name, const bytea *value)
{
	int length = pg_b64_enc_len(VARSIZE_ANY_EXHDR(value));

	sierra_json_add_name(out, name);
	appendStringInfoChar(out, '"');
	enlargeStringInfo(out, length);
	/* cast to void *, since the type of the argument depends on PostgreSQL's version */
	length = pg_b64_encode((const void *) VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value),
						   out->data + out->len, length);
	if (length < 0)
		elog(ERROR, "could not encode payload_bytes");
	out->len += length;
	appendStringInfoChar(out, '"');
}

void
sierra_json_add_texts(StringInfo out, const char *name, const Datum *texts, int count)
{
	sierra_json_add_name(out, name);
	appendStringInfoChar(out, '[');
	for (int i = 0; i < count; i++)
	{
		char *value = TextDatumGetCString(texts[i]);

		if (i > 0)
			appendStringInfoChar(out, ',');
		escape_json(out, value);
		pfree(value);
	}
	appendStringInfoChar(out, ']');
}
