/*
 * job_note.c
 *		What runners know about jobs that they have run, in shared memory.
 *
 * The notes are an array of sets; the hash of the database and the key of a job
 * says in which set its note is.  A note that is lost costs a run that finds nothing to
 * do: nothing depends on it.  An owner can choose names with the same hash.  So a note
 * also says in which schema its job is: then it is that of another job of this owner.
 */
#include "postgres.h"

#include "worker/job_note.h"

#include "common/hashfn.h"
#include "miscadmin.h"

SierraNoteKey
sierra_job_note_key(Oid schema, int32 kind, const void *name, int size)
{
	uint64 where = (uint64) MyDatabaseId << 32 | schema;
	SierraNoteKey key = {.schema = schema, .kind = kind};

	key.hash = hash_bytes_extended(name, size, where ^ (uint64) kind);
	return key;
}

static bool
is_of(const SierraSharedNote *note, SierraNoteKey key)
{
	return note->hash == key.hash && note->database == MyDatabaseId && note->schema == key.schema &&
		   note->kind == key.kind;
}

/* The note with this key; else the one of its set that is to be replaced. */
static SierraSharedNote *
find(SierraNoteKey key)
{
	SierraSharedNote *set =
		&sierra_shared
			 ->note[key.hash % (SIERRA_NOTES_MAX / SIERRA_NOTES_IN_SET) * SIERRA_NOTES_IN_SET];
	SierraSharedNote *oldest = set;

	for (int i = 0; i < SIERRA_NOTES_IN_SET; i++)
	{
		if (is_of(&set[i], key))
			return &set[i];
		if (set[i].used_at < oldest->used_at)
			oldest = &set[i];
	}
	return oldest;
}

void
sierra_job_note_read(SierraNoteKey key, SierraJobNote *note)
{
	SierraSharedNote *found;

	LWLockAcquire(sierra_shared->lock, LW_SHARED);
	found = find(key);
	if (is_of(found, key))
		*note = found->note;
	else
		memset(note, 0, sizeof(*note));
	LWLockRelease(sierra_shared->lock);
}

void
sierra_job_note_write(SierraNoteKey key, const SierraJobNote *note)
{
	SierraTime now = sierra_now();
	SierraSharedNote *found;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	found = find(key);
	found->hash = key.hash;
	found->database = MyDatabaseId;
	found->schema = key.schema;
	found->kind = key.kind;
	found->used_at = now;
	found->note = *note;
	LWLockRelease(sierra_shared->lock);
}
