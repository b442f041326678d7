/*
 * key_expression.h
 *		The expression that gives the key of an event.
 */
#ifndef SIERRA_KEY_EXPRESSION_H
#define SIERRA_KEY_EXPRESSION_H

/*
 * Raises 42601 unless the text is exactly one expression, and without parameters.
 * Only the syntax is checked.  It becomes part of a statement, so it must not be
 * able to end the place that it is put into.
 */
extern void sierra_key_check(const char *expression, const char *projection);

#endif /* SIERRA_KEY_EXPRESSION_H */
