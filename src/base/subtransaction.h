/*
 * subtransaction.h
 *		Calls a function and catches its error.
 */
#ifndef SIERRA_SUBTRANSACTION_H
#define SIERRA_SUBTRANSACTION_H

#include "utils/elog.h"

/*
 * Calls work(arg) in a subtransaction.  Returns NULL, or the error that work() raised, in the
 * current memory context.  If keep is true and work() returns, what it has done is kept;
 * otherwise it is rolled back, and with it locks and the current user.  What work() allocates is
 * in the current memory context if keep is true, and is freed if it is false.
 */
extern ErrorData *sierra_subtransaction(void (*work)(void *arg), void *arg, bool keep);

#endif /* SIERRA_SUBTRANSACTION_H */
