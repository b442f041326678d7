/*
 * request.h
 *		Requests, as a client sends them: an array of words, or an inline line.
 *
 * The parser takes from the buffer what belongs to the next request, as it arrives, and
 * continues wherever the bytes were cut.  It checks every length against a limit before
 * it allocates, and never recurs.
 */
#ifndef FRAME_REQUEST_H
#define FRAME_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/buffer.h>

typedef enum WordType
{
	WORD_STRING, /* bulk, simple, verbatim, or of an inline line */
	WORD_NUMBER, /* an integer or a big number, as its digits */
	WORD_OTHER	 /* a null, a boolean, a double: refused where it is read */
} WordType;

typedef struct Word
{
	/* followed by a zero byte that length does not count */
	char *data;
	size_t length;
	WordType type;
} Word;

typedef struct Request
{
	int count;
	Word *words;
	/* what it takes in memory */
	size_t bytes;
	char *data;
} Request;

typedef struct RequestLimits
{
	size_t max_frame_size;
	int max_words;
} RequestLimits;

typedef struct RequestParser
{
	/* the request that has begun, or NULL */
	Request *request;
	int words_allocated;
	size_t data_used;
	size_t data_allocated;
	/* of the words of the request, how many are still to come */
	int words_left;
	/* the length of the word that has begun, or -1 */
	int64_t word_length;
	bool is_verbatim;
	char error[160];
} RequestParser;

typedef enum ParseStatus
{
	PARSE_MORE,	   /* not whole yet */
	PARSE_REQUEST, /* *request is the next request, possibly without words: ignore it */
	PARSE_EMPTY,   /* an array without elements */
	PARSE_ERROR	   /* the text is in parser->error; nothing can be read from this client again */
} ParseStatus;

extern void request_parser_init(RequestParser *parser);
/* Frees what has begun. */
extern void request_parser_reset(RequestParser *parser);
extern ParseStatus request_parse(RequestParser *parser, struct evbuffer *in,
								 const RequestLimits *limits, Request **request);
extern void request_free(Request *request);

#endif /* FRAME_REQUEST_H */
