/*
 * memory.h
 *		Allocation that does not fail: a program without memory says so and ends.
 *
 * Everything whose size a client decides is checked against a limit before it is
 * allocated, so the end of memory is a matter of the machine, not of one client.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

extern void *mem_alloc(size_t size);
/* Filled with zero bytes. */
extern void *mem_zero(size_t size);
extern void *mem_resize(void *memory, size_t size);
extern char *mem_copy(const void *bytes, size_t size);
/* With a zero byte behind the bytes. */
extern char *mem_text(const char *text);
/* Overwrites a password before it is freed; NULL is allowed. */
extern void mem_free_secret(char *text);

#endif /* BASE_MEMORY_H */
