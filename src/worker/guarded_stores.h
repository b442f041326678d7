/*
 * guarded_stores.h
 *		Finds the stores of a database by their guards.
 */
#ifndef SIERRA_GUARDED_STORES_H
#define SIERRA_GUARDED_STORES_H

/* Calls a function for each store: its schema, and the owner of its table of events. */
extern void sierra_list_guarded_stores(Oid guard, void (*note)(Oid schema, Oid owner));

#endif /* SIERRA_GUARDED_STORES_H */
