/*
 * tap.h
 *		Tests of a program in C, in the Test Anything Protocol.
 */
#ifndef TEST_TAP_H
#define TEST_TAP_H

#include <stdbool.h>
#include <stddef.h>

extern void tap_ok(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Shows both if they differ. */
extern void tap_bytes(const void *found, size_t found_length, const void *wanted,
					  size_t wanted_length, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
extern void tap_text(const char *found, const char *wanted, const char *name);

extern void test_base(void);
extern void test_settings(void);
extern void test_request(void);
extern void test_reply(void);
extern void test_pack(void);
extern void test_arguments(void);
extern void test_subscription(void);

#endif /* TEST_TAP_H */
