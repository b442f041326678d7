/*
 * text.h
 *		Bytes that clients send, as numbers, words and UTF-8.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for any int64 with its sign and a zero byte. */
#define INT64_TEXT_SIZE 21

/* Digits, with a leading '+' or without; false if it is anything else or does not fit. */
extern bool text_to_uint64(const char *text, size_t length, uint64_t *value);
/* The same up to INT64_MAX, the largest number of a stream or partition. */
extern bool text_to_number(const char *text, size_t length, int64_t *value);
/* Writes value and a zero byte, and returns the length. */
extern size_t text_of_int64(int64_t value, char *text);
/* Compares with a word in capitals; case does not matter. */
extern bool text_is_word(const char *text, size_t length, const char *word);
/* As UTF-8 is defined by RFC 3629: no surrogates, nothing above U+10FFFF, shortest forms only. */
extern bool text_is_utf8(const char *text, size_t length);
/* Bytes below 32, and 127. */
extern bool text_has_control(const char *text, size_t length);
/* The same time, wherever the texts differ: for passwords. */
extern bool text_equal_secret(const char *a, const char *b);
/*
 * Copies text for a log line or an error: control characters and bytes that are not UTF-8
 * become '?', and a long text is cut.  Returns to.
 */
extern char *text_printable(const char *text, size_t length, char *to, size_t size);

#endif /* BASE_TEXT_H */
