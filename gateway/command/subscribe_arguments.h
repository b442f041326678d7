/*
 * subscribe_arguments.h
 *		The arguments of ESUB and EPSUB.
 */
#ifndef COMMAND_SUBSCRIBE_ARGUMENTS_H
#define COMMAND_SUBSCRIBE_ARGUMENTS_H

#include "frame/request.h"
#include "store/source.h"

typedef struct SubscribeArguments
{
	SourceSet sources;
	/* 0: events are not counted */
	int64_t window;
	/* of the error: its code and text */
	char error[256];
} SubscribeArguments;

/* False with the error.  In both cases the caller frees sources. */
extern bool parse_esub(const Request *request, SubscribeArguments *arguments);
extern bool parse_epsub(const Request *request, SubscribeArguments *arguments);

/* Can there be a stream, or a pattern of streams, with this name?  If not, writes the error. */
extern bool check_stream_name(const Word *word, char *error, size_t size);

#endif /* COMMAND_SUBSCRIBE_ARGUMENTS_H */
