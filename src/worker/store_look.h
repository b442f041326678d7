/*
 * store_look.h
 *		Looks at one store: how many events it has, and up to where they can be read.
 */
#ifndef SIERRA_STORE_LOOK_H
#define SIERRA_STORE_LOOK_H

typedef struct SierraStoreLook
{
	char name[NAMEDATALEN];
	int64 position; /* of the newest event, or SIERRA_NONE */
	int64 events;	/* number of events */
	int64 readable; /* the highest position that can be read */
} SierraStoreLook;

/*
 * Looks in a transaction of the caller.  Returns false if the store cannot be looked at now,
 * since it is locked or gone, or since the look failed: then *error, which is NULL before,
 * is a copy of the error.  A cancellation has nothing to do with the store and is raised,
 * unless "limited" says that the look has a time limit of its own.
 */
extern bool sierra_look_at_store(Oid schema, SierraStoreLook *look, bool limited,
								 ErrorData **error);

#endif /* SIERRA_STORE_LOOK_H */
