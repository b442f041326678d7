/*
 * metadata.h
 *		The envelope of metadata that is not JSON.
 *
 * The column is a JSON object, and metadata of SierraDB's clients are any bytes.  Bytes that are
 * not such an object are stored as {"$bytes": "<base64>"}, which only the gateway writes and reads;
 * so is metadata that would be taken for such an envelope.  All bytes come back as they were sent.
 */
#ifndef STORE_METADATA_H
#define STORE_METADATA_H

#include <stdbool.h>
#include <stddef.h>

/* Has it the form of an envelope?  What is in it may still not be base64. */
extern bool metadata_has_envelope(const char *metadata, size_t length);
extern bool metadata_needs_envelope(const char *metadata, size_t length);
extern size_t metadata_envelope_length(size_t length);
/* Writes metadata_envelope_length() bytes. */
extern void metadata_wrap(const char *metadata, size_t length, char *to);
/* Replaces an envelope by what is in it. */
extern void metadata_unwrap(char *metadata, size_t *length);

#endif /* STORE_METADATA_H */
