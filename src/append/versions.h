/*
 * versions.h
 *		Expected versions: compares them with the streams, and numbers the events.
 */
#ifndef SIERRA_VERSIONS_H
#define SIERRA_VERSIONS_H

#include "append/insert.h"
#include "append/route.h"

/*
 * Gives each event of a call its version in its stream.  Compares the event's expected version
 * with the stream as the events before it have left it, and before that those of streams of
 * the condition, as the calls before this one have left them.  Returns DONE, or the first
 * refusal, and then has changed no stream: WRONG_VERSION, or NOT_STRICT under
 * sierra_es.strict_versioning.
 */
extern SierraAppendStatus sierra_versions_number(SierraRoute *route, SierraAppendCall *call);

/* Takes the versions of a call back, which will not be written. */
extern void sierra_versions_take_back(SierraRoute *route, const SierraAppendCall *call);

#endif /* SIERRA_VERSIONS_H */
