/*
 * log.h
 *		Lines on standard error: who, what, how long.  No line has a password in it.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

typedef enum LogLevel
{
	LOG_DEBUG,
	LOG_INFO,
	LOG_WARNING,
	LOG_ERROR
} LogLevel;

/*
 * Lines below this level are not written.  With with_time, a line begins with the time;
 * the journal of systemd notes the time itself.
 */
extern void log_configure(LogLevel level, int with_time);
extern int log_wants(LogLevel level);
extern void log_line(LogLevel level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif /* BASE_LOG_H */
