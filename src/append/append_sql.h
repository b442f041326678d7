/*
 * append_sql.h
 *		The result rows of SQL functions that append.
 */
#ifndef SIERRA_APPEND_SQL_H
#define SIERRA_APPEND_SQL_H

#include "append/insert.h"

#include "fmgr.h"

/* Makes the result set of the call, with a row of type sierra_append_result for each event. */
extern void sierra_append_return(FunctionCallInfo fcinfo, const SierraNewEvent *events,
								 const SierraAppendResult *results, int count);

#endif /* SIERRA_APPEND_SQL_H */
