/*
 * look_budget.h
 *		How much of a round the looks at the stores of each owner may take.
 */
#ifndef SIERRA_LOOK_BUDGET_H
#define SIERRA_LOOK_BUDGET_H

#include "base/clock.h"

#include "utils/hsearch.h"

/* Begins a round; the table is in the current memory context. */
extern HTAB *sierra_look_budget_begin(void);

/* Have the looks at the stores of this owner taken this many milliseconds in this round? */
extern bool sierra_look_budget_is_spent(HTAB *budget, Oid owner, int limit_ms);

/* A look at a store of this owner took this time. */
extern void sierra_look_budget_spend(HTAB *budget, Oid owner, SierraTime took);

#endif /* SIERRA_LOOK_BUDGET_H */
