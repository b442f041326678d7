/*
 * in_progress.c
 *		Notices that what a session runs would be run again inside itself.
 */
#include "postgres.h"

#include "store/in_progress.h"

static SierraInProgress *innermost = NULL;

bool
sierra_in_progress_begin(SierraInProgress *entry, const SierraStore *store, const char *what)
{
	for (SierraInProgress *other = innermost; other != NULL; other = other->outer)
	{
		if (other->store == store->schema && strcmp(other->what, what) == 0)
			return false;
	}
	entry->outer = innermost;
	entry->store = store->schema;
	entry->what = what;
	innermost = entry;
	return true;
}

void
sierra_in_progress_end(const SierraInProgress *entry)
{
	Assert(innermost == entry);
	innermost = entry->outer;
}
