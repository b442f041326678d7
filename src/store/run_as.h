/*
 * run_as.h
 *		Running what a role wrote down as that role.
 *
 * Projections, process managers and sagas are rows of ordinary tables that name
 * a role, and running them means to act as it.  run_as.c says why that gives
 * nobody rights that he did not have.
 */
#ifndef SIERRA_RUN_AS_H
#define SIERRA_RUN_AS_H

#include "store/store.h"

typedef struct SierraRunAs
{
	Oid caller;
	int caller_context;
	int settings; /* nesting level */
} SierraRunAs;

/* The owner of a table or sequence; InvalidOid if there is no such relation. */
extern Oid sierra_relation_owner(Oid relid);

/*
 * The owner of one of a store's tables, for a caller with these rights on it;
 * SE005 if the store has lost it.
 */
extern Oid sierra_run_as_table_owner(const SierraStore *store, const char *table, AclMode rights);

/*
 * Raises 42501 unless the owner of the table in which the role is named is a
 * member of it.  what: "projection \"x\"".
 */
extern void sierra_run_as_check(const SierraStore *store, const char *table, Oid table_owner,
								Oid role, const char *what);

/* From here on the current user is the role, in a security-restricted operation. */
extern void sierra_run_as_begin_as(SierraRunAs *run_as, Oid role);

/* The search_path that was written down, temporary tables last; until the end. */
extern void sierra_run_as_set_path(const char *search_path);

/* Back to the caller, with his settings.  An error that ends a (sub)transaction does it too. */
extern void sierra_run_as_end(const SierraRunAs *run_as);

#endif /* SIERRA_RUN_AS_H */
