#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static LogLevel lowest = LOG_INFO;
static int times = 1;

static const char *const names[] = {"debug", "info", "warning", "error"};

void
log_configure(LogLevel level, int with_time)
{
	lowest = level;
	times = with_time;
}

int
log_wants(LogLevel level)
{
	return level >= lowest;
}

static size_t
begin_line(LogLevel level, char *line, size_t size)
{
	struct timeval now;
	struct tm parts;
	size_t used = 0;

	if (times)
	{
		gettimeofday(&now, NULL);
		gmtime_r(&now.tv_sec, &parts);
		used = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &parts);
		used += snprintf(line + used, size - used, ".%03dZ ", (int) (now.tv_usec / 1000));
	}
	return used + snprintf(line + used, size - used, "%s: ", names[level]);
}

/* What terminals obey: control characters, also U+0080 to U+009F in UTF-8. */
static void
clean(char *line, size_t length)
{
	for (size_t i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) line[i];
		unsigned char next = i + 1 < length ? (unsigned char) line[i + 1] : 0;

		if (c < 32 || c == 127)
			line[i] = ' ';
		else if (c == 0xc2 && next >= 0x80 && next < 0xa0)
			line[i] = line[i + 1] = ' ';
	}
}

/* One write a line, so that lines of several programs do not mix. */
void
log_line(LogLevel level, const char *format, ...)
{
	char line[2048];
	va_list arguments;
	size_t used;
	int more;

	if (level < lowest)
		return;
	used = begin_line(level, line, sizeof(line));
	va_start(arguments, format);
	more = vsnprintf(line + used, sizeof(line) - used - 1, format, arguments);
	va_end(arguments);
	if (more > 0)
		used += (size_t) more < sizeof(line) - used - 1 ? (size_t) more : sizeof(line) - used - 2;
	/* what libpq and OpenSSL say may have several lines, and ends with one */
	while (used > 0 && line[used - 1] == '\n')
		used--;
	clean(line, used);
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0)
		return;
}
