/*
 * append_sql.h
 *		The result rows of SQL functions that append, and their arguments.
 */
#ifndef SIERRA_APPEND_SQL_H
#define SIERRA_APPEND_SQL_H

#include "append/condition.h"
#include "append/insert.h"

#include "fmgr.h"

/* Columns of sierra_append_result. */
#define SIERRA_APPEND_RESULT_COLUMNS 9

/* Fills the values of a row of type sierra_append_result. */
extern void sierra_append_form_result(const SierraNewEvent *event,
									  const SierraAppendResult *results, Datum *values,
									  bool *nulls);

/* Makes the result set of the call, with a row of type sierra_append_result for each event. */
extern void sierra_append_return(FunctionCallInfo fcinfo, const SierraNewEvent *events,
								 const SierraAppendResult *results, int count);

/* The partition key that this text stands for; NULL for NULL. */
extern pg_uuid_t *sierra_append_read_key(const text *given);

/* The condition that this JSON contains; NULL for NULL. */
extern SierraCondition *sierra_append_read_condition(const text *json);

#endif /* SIERRA_APPEND_SQL_H */
