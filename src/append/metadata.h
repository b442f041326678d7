/*
 * metadata.h
 *		Metadata that a session gives to every event it appends.
 */
#ifndef SIERRA_METADATA_H
#define SIERRA_METADATA_H

#include "c.h"

/*
 * The metadata of an event (json, or NULL) with the members of
 * sierra_es.metadata that it lacks, after its own.  What is no object stays as
 * it is; without the setting everything does.
 */
extern text *sierra_metadata_complete(text *metadata);

#endif /* SIERRA_METADATA_H */
