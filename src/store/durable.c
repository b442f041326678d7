/*
 * durable.c
 *		Makes what other transactions have committed as durable as this session wants.
 *
 * The commit of a row cannot be looked up: VACUUM may have frozen the row since, and
 * then its transaction is not known any more.  So this writes a record that does
 * nothing and flushes up to it: the commit of every row that can be seen comes
 * before it.  Repetitions are rare, and cost what an append costs.
 */
#include "postgres.h"

#include "store/durable.h"

#include "access/rmgr.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/pg_control.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "replication/syncrep.h"

PG_FUNCTION_INFO_V1(sierra_make_durable_sql);

void
sierra_make_durable(void)
{
	char nothing = 0;
	XLogRecPtr end;

	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF || RecoveryInProgress())
		return;
	XLogBeginInsert();
	XLogRegisterData(&nothing, sizeof(nothing)); /* a record cannot be empty */
	XLogSetRecordFlags(XLOG_MARK_UNIMPORTANT);
	end = XLogInsert(RM_XLOG_ID, XLOG_NOOP);
	XLogFlush(end);
	HOLD_INTERRUPTS();
	SyncRepWaitForLSN(end, false);
	RESUME_INTERRUPTS();
}

/* The same for functions in SQL. */
Datum
sierra_make_durable_sql(PG_FUNCTION_ARGS)
{
	sierra_make_durable();
	PG_RETURN_VOID();
}
