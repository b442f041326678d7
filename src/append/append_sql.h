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

/*
 * Fills a call, whose first event is number 0, from what it was given; key and condition may be
 * NULL.  Raises the errors of values that are not valid.
 */
extern void sierra_append_read_call(const text *key, const SierraNewEvent *events, int count,
									const text *condition, SierraAppendCall *call);

#endif /* SIERRA_APPEND_SQL_H */
