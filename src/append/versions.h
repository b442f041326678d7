/*
 * versions.h
 *		Expected versions: compares them with the streams, and numbers the events.
 */
#ifndef SIERRA_VERSIONS_H
#define SIERRA_VERSIONS_H

#include "append/insert.h"
#include "append/route.h"

/*
 * Gives each event its version in its stream.  Compares the event's expected version
 * with the stream as the events before it have left it, and before that those of streams of
 * the condition, which do not have events in the call.  Returns DONE, or the first
 * refusal: WRONG_VERSION, or NOT_STRICT under sierra_es.strict_versioning.
 */
extern SierraAppendStatus sierra_versions_number(SierraRoute *route, SierraAppendResult *results,
												 SierraRefusal *refusal);

#endif /* SIERRA_VERSIONS_H */
