/*
 * json.h
 *		Is a text JSON, as PostgreSQL's type json takes it?
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Deeper texts are not JSON here, though PostgreSQL may take them: its own limit depends on its
 * stack, and a text that it refuses would make a whole batch fail.
 */
#define JSON_MAX_DEPTH 256

/* RFC 8259, in UTF-8. */
extern bool json_is_valid(const char *text, size_t length);

#endif /* BASE_JSON_H */
