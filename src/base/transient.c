/*
 * transient.c
 *		Which errors say nothing about the work that they interrupted.
 *
 * The same work may succeed a moment later, so it is tried again, and no attempt
 * is counted.  This is the only list; projections, process managers, timers and
 * sagas use it.  What is on it, and why:
 *
 * - Class 40: another transaction was in the way.
 * - Class 53: the server is short of memory, disk space or connections.
 * - Class 57: somebody cancelled the statement or stops the server.  A time-out
 *   is a cancellation (57014).  It is the end of the call, so nothing catches
 *   it: code that caught it would continue after the time that it was given.
 * - 55P03: a lock was not available within lock_timeout, or with NOWAIT.
 * - 58030: the operating system could not read or write a file.
 * - 25006: the transaction is read-only, as while an administrator keeps a
 *   database from being written.
 *
 * What is not on it, and why:
 *
 * - 08xxx and 25P02: connections and transactions of the handler's own, on
 *   another server.  Whether that server comes back is not known here.
 * - XX000 and the other system errors: a defect, which would come again.
 * - SE001: a handler that expects the wrong version has decided something on old
 *   facts, and counts.  Only run_sagas() knows the case of a saga whose own
 *   append lost to another session.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/transient.h"

#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(sierra_is_transient_error);

bool
sierra_error_is_transient(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case MAKE_SQLSTATE('4', '0', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '7', '0', '0', '0'):
			return true;
	}
	return sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE || sqlerrcode == ERRCODE_IO_ERROR ||
		   sqlerrcode == ERRCODE_READ_ONLY_SQL_TRANSACTION;
}

Datum
sierra_is_transient_error(PG_FUNCTION_ARGS)
{
	text *code = PG_GETARG_TEXT_PP(0);
	const char *c = VARDATA_ANY(code);

	PG_RETURN_BOOL(VARSIZE_ANY_EXHDR(code) == 5 &&
				   sierra_error_is_transient(MAKE_SQLSTATE(c[0], c[1], c[2], c[3], c[4])));
}
