/*
 * append_sql.h
 *		What SQL functions that append share: refusals as errors, result rows.
 */
#ifndef SIERRA_APPEND_SQL_H
#define SIERRA_APPEND_SQL_H

#include "append/append.h"

#include "fmgr.h"

/* Turns a refusal of the engine into an error; returns if there is none. */
extern void sierra_append_report_refusal(SierraAppendStatus status, const SierraRefusal *refusal);

/* Makes the result set of the call: a sierra_append_result for each event. */
extern void sierra_append_return(FunctionCallInfo fcinfo, const SierraNewEvent *events,
								 SierraAppended *numbers, int count);

#endif /* SIERRA_APPEND_SQL_H */
