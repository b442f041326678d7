/*
 * hidden.h
 *		What an append must not say to a user from whom row-level security hides events.
 */
#ifndef SIERRA_HIDDEN_H
#define SIERRA_HIDDEN_H

#include "append/route.h"

/*
 * Is one of the events that this call repeats hidden from the user?  The results say where
 * they are stored.
 */
extern bool sierra_hidden_repetition(const SierraRoute *route, const SierraAppendCall *call);

/* Removes from the refusal of a call what the user could not read. */
extern void sierra_hidden_censor(const SierraRoute *route, SierraAppendCall *call);

#endif /* SIERRA_HIDDEN_H */
