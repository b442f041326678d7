/*
 * job_note.h
 *		What runners know about jobs that they have run, in shared memory.
 *
 * A runner serves one owner and ends.  The next one must not run again what has had
 * nothing to do, nor try at once what has failed.
 */
#ifndef SIERRA_JOB_NOTE_H
#define SIERRA_JOB_NOTE_H

#include "wakeup/shared.h"

/* What a note is about: a job of a kind in a schema of this database; its name is hashed. */
typedef struct SierraNoteKey
{
	Oid schema;
	int32 kind;
	uint64 hash;
} SierraNoteKey;

/* The key of a job with this name of "size" bytes. */
extern SierraNoteKey sierra_job_note_key(Oid schema, int32 kind, const void *name, int size);

/* The note with this key; zeroes if there is none. */
extern void sierra_job_note_read(SierraNoteKey key, SierraJobNote *note);

/* Keeps a note; the one that was not used for the longest time may be lost. */
extern void sierra_job_note_write(SierraNoteKey key, const SierraJobNote *note);

#endif /* SIERRA_JOB_NOTE_H */
