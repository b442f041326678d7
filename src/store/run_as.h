/*
 * run_as.h
 *		Runs projections, process managers and sagas as the role that they name.
 *
 * They are rows of ordinary tables.  run_as.c explains why running them as the role
 * in the row does not give any role rights that it did not have.
 */
#ifndef SIERRA_RUN_AS_H
#define SIERRA_RUN_AS_H

#include "store/store.h"

/* What sierra_run_as_end() restores. */
typedef struct SierraRunAs
{
	Oid caller;
	int caller_context; /* security context */
	int settings;		/* nesting level of settings */
} SierraRunAs;

extern bool sierra_role_exists(Oid role);

/* Is the current user a superuser, or a member of pg_monitor? */
extern bool sierra_run_as_monitor(void);

/* The owner of a table or sequence; InvalidOid if the relation does not exist. */
extern Oid sierra_relation_owner(Oid relid);

/*
 * The owner of a store, that is of its table of events; InvalidOid if the table
 * does not exist.  Raises 42501 if another table of the store, or its schema,
 * belongs to a role that may not become this owner: the table would be read as the
 * owner, and can have code of that role in it.
 */
extern Oid sierra_run_as_store_owner(Oid schema);

/*
 * The owner of a table of a store.  Raises 42501 unless the current user has these
 * rights on the table, and SE005 if the store has lost the table.  Keeps the table
 * locked (AccessShareLock), so that it cannot get another owner.
 */
extern Oid sierra_run_as_table_owner(const SierraStore *store, const char *table, AclMode rights);

/*
 * Raises 42704 unless the role exists, and 42501 unless the owner of the table, a row of which
 * names the role, can become the role.  what names the row in the message: "projection \"x\"".
 */
extern void sierra_run_as_check(const SierraStore *store, const char *table, Oid table_owner,
								Oid role, const char *what);

/* Makes the role the current user, in a security-restricted operation. */
extern void sierra_run_as_begin_as(SierraRunAs *run_as, Oid role);

/*
 * If the current user is a superuser and not the owner of the store, makes the owner
 * the current user, and returns true.  A superuser must not run what the owner has
 * made of the tables: index expressions, triggers, views.
 */
extern bool sierra_run_as_begin_as_owner(SierraRunAs *run_as, const SierraStore *store);

/* Sets the search_path, with temporary tables last, until sierra_run_as_end(). */
extern void sierra_run_as_set_path(const char *search_path);

/*
 * Makes the caller the current user again, with its settings.  The end of a
 * (sub)transaction by an error does the same.
 */
extern void sierra_run_as_end(const SierraRunAs *run_as);

#endif /* SIERRA_RUN_AS_H */
