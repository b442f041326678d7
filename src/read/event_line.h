/*
 * event_line.h
 *		An event as a line of JSON: the format of exports.
 *
 * The members are those of sierra_event, in a fixed order; what is null is left out.
 * metadata and payload are embedded as the exact text that was stored.  A text that does not
 * fit on a line as it is, or would not be cut out again byte for byte, becomes a string in
 * payload_text or metadata_text: if it has line breaks or white space around it.  So does
 * the text null, since a member that is null counts as missing.
 */
#ifndef SIERRA_EVENT_LINE_H
#define SIERRA_EVENT_LINE_H

#include "lib/stringinfo.h"

/*
 * Appends the line of an event, without a line break; the values are in the order of
 * sierra_event.  Without numbers, what a store gives an event itself is left out.
 */
extern void sierra_event_line_write(StringInfo out, const Datum *values, const bool *nulls,
									bool numbers);

#endif /* SIERRA_EVENT_LINE_H */
