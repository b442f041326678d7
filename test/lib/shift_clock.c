/*
 * shift_clock.c
 *		Shifts the wall clock of programs that preload it, and no other clock.
 *
 * The file that SIERRA_CLOCK_FILE names has the number of seconds, as an int64 in the
 * byte order of the machine.  It can be changed while the programs run.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t
seconds(void)
{
	static volatile int64_t *shift = NULL;
	const char *name;

	if (shift == NULL && (name = getenv("SIERRA_CLOCK_FILE")) != NULL)
	{
		int file = open(name, O_RDONLY);
		void *map = file < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, file, 0);

		if (map != MAP_FAILED)
			shift = map;
		if (file >= 0)
			close(file);
	}
	return shift != NULL ? *shift : 0;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	static int (*next)(clockid_t, struct timespec *) = NULL;
	int result;

	if (next == NULL)
		next = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
	result = next(clock, now);
	if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += seconds();
	return result;
}

int
gettimeofday(struct timeval *now, void *zone)
{
	struct timespec precise;
	int result = clock_gettime(CLOCK_REALTIME, &precise);

	now->tv_sec = precise.tv_sec;
	now->tv_usec = precise.tv_nsec / 1000;
	return result;
}

time_t
time(time_t *now)
{
	struct timespec precise;

	clock_gettime(CLOCK_REALTIME, &precise);
	if (now != NULL)
		*now = precise.tv_sec;
	return precise.tv_sec;
}
