/*
 * json_convert.h
 *		Values of json and jsonb from each other.
 *
 * SQL type sierra_json has the same values as json.
 */
#ifndef SIERRA_JSON_CONVERT_H
#define SIERRA_JSON_CONVERT_H

/* A value of jsonb as json, palloc'd. */
extern text *sierra_json_of_jsonb(Datum jsonb);

/* A value of json as jsonb, palloc'd; raises the errors of jsonb_in(). */
extern Datum sierra_jsonb_of_json(const text *json);

#endif /* SIERRA_JSON_CONVERT_H */
