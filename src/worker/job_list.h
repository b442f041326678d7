/*
 * job_list.h
 *		What there is to run in a store.
 */
#ifndef SIERRA_JOB_LIST_H
#define SIERRA_JOB_LIST_H

#include "store/store.h"

#include "utils/timestamp.h"

/* The name of a projection has at most 200 bytes. */
#define SIERRA_JOB_NAME_MAX 204

typedef enum SierraJobKind
{
	SIERRA_JOB_LOOK, /* to list the jobs of a store; not run like the others */
	SIERRA_JOB_TIMERS,
	SIERRA_JOB_SAGAS,
	SIERRA_JOB_PROJECTION
} SierraJobKind;

typedef struct SierraListedJob
{
	SierraJobKind kind;
	char name[SIERRA_JOB_NAME_MAX]; /* of the projection, the OID of the owner of sagas, else empty
									 */
	int32 version;					/* of the projection */
	Oid owner;						/* as which the code of the job runs */
	TimestampTz due_at;
	TimestampTz again_at; /* when to run it again even if the store has not changed */
	int64 size;			  /* how much a run handles at most */
	int64 row;			  /* the version of the projection's row */
} SierraListedJob;

/* As the SQL functions name them. */
extern const char *sierra_job_kind_name(SierraJobKind kind);

/*
 * The jobs of a store, a list of SierraListedJob in the current context, with at most
 * this number of projections.  Reads tables without the planner, so it runs no code of
 * their owners.  Checks no rights.
 */
extern List *sierra_job_list(const SierraStore *store, int max_projections);

#endif /* SIERRA_JOB_LIST_H */
