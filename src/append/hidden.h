/*
 * hidden.h
 *		What an append must not say to a user from whom row-level security hides events.
 */
#ifndef SIERRA_HIDDEN_H
#define SIERRA_HIDDEN_H

#include "append/route.h"

/*
 * Is one of the events that this call repeats hidden from the user?  results says where
 * they are stored.
 */
extern bool sierra_hidden_repetition(const SierraRoute *route, const SierraAppendResult *results);

/* Removes from a refusal what the user could not read. */
extern void sierra_hidden_censor(const SierraRoute *route, const SierraAppendResult *results,
								 SierraAppendStatus status, SierraRefusal *refusal);

#endif /* SIERRA_HIDDEN_H */
