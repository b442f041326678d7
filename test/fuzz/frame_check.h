/*
 * frame_check.h
 *		Reads replies as a client does, and aborts where one cannot be read.
 */
#ifndef FUZZ_FRAME_CHECK_H
#define FUZZ_FRAME_CHECK_H

#include <event2/buffer.h>

typedef struct FrameCheck
{
	/* without pushes */
	int replies;
	/* the last reply that is a UUID, or "" */
	char last_id[40];
} FrameCheck;

extern void frame_check_init(FrameCheck *check);
/* Takes the whole frames out of the buffer. */
extern void frame_check(FrameCheck *check, struct evbuffer *in);

#endif /* FUZZ_FRAME_CHECK_H */
