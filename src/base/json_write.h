/*
 * json_write.h
 *		Writes members of JSON objects.
 */
#ifndef SIERRA_JSON_WRITE_H
#define SIERRA_JSON_WRITE_H

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "utils/uuid.h"

/*
 * Each appends a member to an object that has been begun: a comma, unless the member is the
 * first one, its name, which needs no escapes, and its value.
 */
extern void sierra_json_add_name(StringInfo out, const char *name);
extern void sierra_json_add_string(StringInfo out, const char *name, const char *value);
extern void sierra_json_add_text(StringInfo out, const char *name, const text *value);
extern void sierra_json_add_int8(StringInfo out, const char *name, int64 value);
extern void sierra_json_add_uuid(StringInfo out, const char *name, const pg_uuid_t *value);

/* ISO 8601 in UTC, independent of the session's time zone. */
extern void sierra_json_add_time(StringInfo out, const char *name, TimestampTz value);

extern void sierra_json_add_base64(StringInfo out, const char *name, const bytea *value);

/* An array of strings, which are texts. */
extern void sierra_json_add_texts(StringInfo out, const char *name, const Datum *texts, int count);

#endif /* SIERRA_JSON_WRITE_H */
