/*
 * metadata.h
 *		The metadata that a session adds to every event that it appends.
 */
#ifndef SIERRA_METADATA_H
#define SIERRA_METADATA_H

#include "c.h"

/*
 * The metadata of an event (json, or NULL), followed by the members of
 * sierra_es.metadata that it does not have.  Metadata that is not an object stays
 * unchanged; so does all metadata if sierra_es.metadata is empty.
 */
extern text *sierra_metadata_complete(text *metadata);

#endif /* SIERRA_METADATA_H */
