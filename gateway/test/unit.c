/*
 * unit.c
 *		Runs the unit tests.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "test/tap.h"

static int count;
static int failed;

static void
report(bool good, const char *format, va_list values)
{
	char name[300];

	vsnprintf(name, sizeof(name), format, values);
	/* a '#' would begin a directive */
	for (char *c = name; *c != '\0'; c++)
		if ((unsigned char) *c < 32 || *c == '#')
			*c = '?';
	printf("%sok %d - %s\n", good ? "" : "not ", ++count, name);
	failed += !good;
}

void
tap_ok(bool good, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	report(good, format, values);
	va_end(values);
}

static void
show(const char *what, const unsigned char *bytes, size_t length)
{
	printf("# %s: ", what);
	for (size_t i = 0; i < length && i < 400; i++)
		if (bytes[i] >= 32 && bytes[i] < 127 && bytes[i] != '\\')
			putchar(bytes[i]);
		else
			printf("\\x%02x", bytes[i]);
	putchar('\n');
}

void
tap_bytes(const void *found, size_t found_length, const void *wanted, size_t wanted_length,
		  const char *format, ...)
{
	bool good = found_length == wanted_length && memcmp(found, wanted, wanted_length) == 0;
	va_list values;

	va_start(values, format);
	report(good, format, values);
	va_end(values);
	if (good)
		return;
	show("found ", found, found_length);
	show("wanted", wanted, wanted_length);
}

void
tap_text(const char *found, const char *wanted, const char *name)
{
	tap_bytes(found, strlen(found), wanted, strlen(wanted), "%s", name);
}

int
main(void)
{
	test_base();
	test_settings();
	test_request();
	test_reply();
	test_pack();
	test_arguments();
	test_subscription();
	printf("1..%d\n", count);
	return failed > 0;
}
