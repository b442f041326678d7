/*
 * metadata.h
 *		The metadata that a session adds to every event that it appends.
 */
#ifndef SIERRA_METADATA_H
#define SIERRA_METADATA_H

#include "c.h"

/* The members that the session adds (sierra_es.metadata), palloc'd; NULL for none. */
extern text *sierra_metadata_of_session(void);

/*
 * The metadata of an event (json, or NULL), followed by the members of added that it does
 * not have.  Metadata that is not an object stays unchanged; so does all metadata if
 * added is NULL.  The result is metadata, added, or palloc'd.
 */
extern text *sierra_metadata_complete(text *metadata, text *added);

#endif /* SIERRA_METADATA_H */
