/*
 * job_note.c
 *		What runners know about jobs that they have run, in shared memory.
 *
 * The notes are an array of sets; the hash of the database and the key of a job
 * says in which set its note is.  A note that is lost, or is that of another job
 * with the same hash, costs a run that finds nothing to do: nothing depends on it.
 */
#include "postgres.h"

#include "worker/job_note.h"

#include "common/hashfn.h"
#include "miscadmin.h"

static uint64
hash(const void *key, int size)
{
	return hash_bytes_extended(key, size, MyDatabaseId);
}

/* The note with this hash; else the one of its set that is to be replaced. */
static SierraSharedNote *
find(uint64 wanted)
{
	SierraSharedNote *set =
		&sierra_shared
			 ->note[wanted % (SIERRA_NOTES_MAX / SIERRA_NOTES_IN_SET) * SIERRA_NOTES_IN_SET];
	SierraSharedNote *oldest = set;

	for (int i = 0; i < SIERRA_NOTES_IN_SET; i++)
	{
		if (set[i].hash == wanted)
			return &set[i];
		if (set[i].used_at < oldest->used_at)
			oldest = &set[i];
	}
	return oldest;
}

void
sierra_job_note_read(const void *key, int size, SierraJobNote *note)
{
	uint64 wanted = hash(key, size);
	SierraSharedNote *found;

	LWLockAcquire(sierra_shared->lock, LW_SHARED);
	found = find(wanted);
	if (found->hash == wanted)
		*note = found->note;
	else
		memset(note, 0, sizeof(*note));
	LWLockRelease(sierra_shared->lock);
}

void
sierra_job_note_write(const void *key, int size, const SierraJobNote *note)
{
	uint64 wanted = hash(key, size);
	SierraTime now = sierra_now();
	SierraSharedNote *found;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	found = find(wanted);
	found->hash = wanted;
	found->used_at = now;
	found->note = *note;
	LWLockRelease(sierra_shared->lock);
}
