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

/* The note about the job with this key of "size" bytes; zeroes if there is none. */
extern void sierra_job_note_read(const void *key, int size, SierraJobNote *note);

/* Keeps a note; the one that was not used for the longest time may be lost. */
extern void sierra_job_note_write(const void *key, int size, const SierraJobNote *note);

#endif /* SIERRA_JOB_NOTE_H */
