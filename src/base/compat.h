/*
 * compat.h
 *		Hides the differences between PostgreSQL 15, 16, 17 and 18.
 *
 * This is the only file of the project that looks at PG_VERSION_NUM.  Every
 * wrapper has the arguments and the result of the newest version.
 */
#ifndef SIERRA_COMPAT_H
#define SIERRA_COMPAT_H

#include "postgres.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/sequence.h"
#include "common/jsonapi.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "replication/output_plugin.h"
#include "storage/bufmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/sinvaladt.h"
#include "utils/acl.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/wait_event.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h" /* split off postgres.h in 16 (d952373a98) */
#endif

#if PG_VERSION_NUM < 150000
#error "sierra_es needs PostgreSQL 15 or newer"
#endif

/* 18 puts this before the declaration; before, it was pg_attribute_noreturn() behind it */
#if PG_VERSION_NUM < 180000
#define pg_noreturn __attribute__((noreturn))
#endif

/* 16 added onlySummarizing (19d8e2308b) */
static inline List *
sierra_compat_insert_index_tuples(ResultRelInfo *rri, TupleTableSlot *slot, EState *estate)
{
#if PG_VERSION_NUM >= 160000
	return ExecInsertIndexTuples(rri, slot, estate, false, false, NULL, NIL, false);
#else
	return ExecInsertIndexTuples(rri, slot, estate, false, false, NULL, NIL);
#endif
}

/* 17 lets the caller own the lexer (e57c46c28d) */
static inline bool
sierra_compat_is_json(const char *text)
{
#if PG_VERSION_NUM >= 170000
	JsonLexContext *lex =
		makeJsonLexContextCstringLen(NULL, text, strlen(text), GetDatabaseEncoding(), false);
#else
	JsonLexContext *lex = makeJsonLexContextCstringLen(unconstify(char *, text), strlen(text),
													   GetDatabaseEncoding(), false);
#endif

	return pg_parse_json(lex, &nullSemAction) == JSON_SUCCESS;
}

/* 16 can return errors instead of raising them (858e776c84) */
static inline List *
sierra_compat_qualified_name(const char *text)
{
#if PG_VERSION_NUM >= 160000
	return stringToQualifiedNameList(text, NULL);
#else
	return stringToQualifiedNameList(text);
#endif
}

/* 18 added scan instrumentation (0fbceae841) */
static inline IndexScanDesc
sierra_compat_index_beginscan(Relation heap, Relation index, Snapshot snapshot, int nkeys)
{
#if PG_VERSION_NUM >= 180000
	return index_beginscan(heap, index, snapshot, NULL, nkeys, 0);
#else
	return index_beginscan(heap, index, snapshot, nkeys, 0);
#endif
}

/* The last leaf page of a btree, locked; 17 dropped the snapshot (f691f5b80a) */
static inline Buffer
sierra_compat_last_index_page(Relation index)
{
#if PG_VERSION_NUM >= 170000
	return _bt_get_endpoint(index, 0, true);
#else
	return _bt_get_endpoint(index, 0, true, NULL);
#endif
}

/*
 * The leaf page of a btree where this key belongs, locked.  16 added the table
 * (61b313e47e), 17 dropped the snapshot (f691f5b80a).
 */
static inline BTStack
sierra_compat_index_search(Relation heap, Relation index, BTScanInsert key, Buffer *buffer)
{
#if PG_VERSION_NUM >= 170000
	return _bt_search(index, heap, key, buffer, BT_READ);
#elif PG_VERSION_NUM >= 160000
	return _bt_search(index, heap, key, buffer, BT_READ, NULL);
#else
	return _bt_search(index, key, buffer, BT_READ, NULL);
#endif
}

/* Raises 72000 if old_snapshot_threshold let rows of the page be removed; 17 dropped it
 * (f691f5b80a) */
static inline void
sierra_compat_test_for_old_snapshot(Snapshot snapshot, Relation rel, Page page)
{
#if PG_VERSION_NUM < 170000
	TestForOldSnapshot(snapshot, rel, page);
#endif
}

/* 16 folded the object-specific checks into one (afbfc02983) */
static inline bool
sierra_compat_owns_relation(Oid relid, Oid roleid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relid, roleid);
#else
	return pg_class_ownercheck(relid, roleid);
#endif
}

/* 16 folded the object-specific checks into one (afbfc02983) */
static inline bool
sierra_compat_owns_schema(Oid schema, Oid roleid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(NamespaceRelationId, schema, roleid);
#else
	return pg_namespace_ownercheck(schema, roleid);
#endif
}

/* 16 folded the object-specific checks into one (c727f511bd) */
static inline bool
sierra_compat_may_execute(Oid function, Oid roleid)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ProcedureRelationId, function, roleid, ACL_EXECUTE) == ACLCHECK_OK;
#else
	return pg_proc_aclcheck(function, roleid, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

/* 16 folded the object-specific checks into one (afbfc02983) */
static inline bool
sierra_compat_owns_database(Oid database, Oid roleid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, database, roleid);
#else
	return pg_database_ownercheck(database, roleid);
#endif
}

/*
 * May a role become another one by SET ROLE?  16 lets memberships exclude that
 * (3d14e171e9, 6566133c5f).
 */
static inline bool
sierra_compat_can_become(Oid member, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return member_can_set_role(member, role);
#else
	return is_member_of_role(member, role);
#endif
}

/* 17 grouped the parts of a virtual transaction id (28f3915b73) */
static inline LocalTransactionId
sierra_compat_local_transaction_id(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProc->vxid.lxid;
#else
	return MyProc->lxid;
#endif
}

/* 17 numbers backends from 0, and calls them processes (024c521117) */
static inline int
sierra_compat_backend_number(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyBackendId - 1;
#endif
}

/* That of a transaction; negative if it does not belong to a backend. */
static inline int
sierra_compat_backend_of(VirtualTransactionId transaction)
{
#if PG_VERSION_NUM >= 170000
	return transaction.procNumber;
#else
	return transaction.backendId - 1;
#endif
}

/* The process that runs a transaction; 0 if there is none. */
static inline int
sierra_compat_process_of(VirtualTransactionId transaction)
{
#if PG_VERSION_NUM >= 170000
	PGPROC *process = ProcNumberGetProc(transaction.procNumber);
#else
	PGPROC *process = BackendIdGetProc(transaction.backendId);
#endif

	return process != NULL ? process->pid : 0;
}

/* 16 renamed the parts of a relation file's name (b0a55e4329) */
static inline void
sierra_compat_set_sequence_record(xl_seq_rec *record, Relation rel)
{
#if PG_VERSION_NUM >= 160000
	record->locator = rel->rd_locator;
#else
	record->node = rel->rd_node;
#endif
}

/* 16 renamed relfilenode (b0a55e4329) */
static inline void
sierra_compat_set_new_file(Relation rel)
{
#if PG_VERSION_NUM >= 160000
	RelationSetNewRelfilenumber(rel, rel->rd_rel->relpersistence);
#else
	RelationSetNewRelfilenode(rel, rel->rd_rel->relpersistence);
#endif
}

/* 17 added the statement, for event triggers (f21848de20) */
static inline void
sierra_compat_reindex_relation(Oid relid, int flags)
{
	ReindexParams params = {0};

#if PG_VERSION_NUM >= 170000
	(void) reindex_relation(NULL, relid, flags, &params);
#else
	(void) reindex_relation(relid, flags, &params);
#endif
}

/* 17 lets extensions give names to wait events (c9af054653) */
static inline uint32
sierra_compat_wait_event(const char *name)
{
#if PG_VERSION_NUM >= 170000
	return WaitEventExtensionNew(name);
#else
	return PG_WAIT_EXTENSION;
#endif
}

/* 17 took the tuple out of its wrapper (08e6344fd6) */
static inline HeapTuple
sierra_compat_new_tuple(ReorderBufferChange *change)
{
#if PG_VERSION_NUM >= 170000
	return change->data.tp.newtuple;
#else
	return &change->data.tp.newtuple->tuple;
#endif
}

/*
 * Sends a keepalive now and then while nothing of a transaction is sent, so that
 * the receiver does not run into its timeout.  From 16 on the server does it.
 */
static inline void
sierra_compat_report_skipped_change(struct LogicalDecodingContext *ctx)
{
#if PG_VERSION_NUM < 160000
	static int skipped = 0;

	if (++skipped < 100)
		return;
	skipped = 0;
	OutputPluginUpdateProgress(ctx, false);
#endif
}

/* from 16 on the server declares the entry points of extensions */
#if PG_VERSION_NUM < 160000
extern PGDLLEXPORT void _PG_init(void);
extern PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *callbacks);
#endif

#endif /* SIERRA_COMPAT_H */
