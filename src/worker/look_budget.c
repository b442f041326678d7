/*
 * look_budget.c
 *		How much of a round the looks at the stores of each owner may take.
 *
 * A runner looks at the stores of all owners, one after another.  An owner can have any
 * number of stores, and each look can take just less time than a slow one.  So when the
 * looks at the stores of one owner have taken their time, the others of this owner are
 * left to the next rounds.
 */
#include "postgres.h"

#include "worker/look_budget.h"

typedef struct Spent
{
	Oid owner; /* hash key */
	SierraTime time;
} Spent;

HTAB *
sierra_look_budget_begin(void)
{
	HASHCTL ctl = {
		.keysize = sizeof(Oid), .entrysize = sizeof(Spent), .hcxt = CurrentMemoryContext};

	return hash_create("sierra_es look budget", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

bool
sierra_look_budget_is_spent(HTAB *budget, Oid owner, int limit_ms)
{
	const Spent *spent = hash_search(budget, &owner, HASH_FIND, NULL);

	return spent != NULL && spent->time >= sierra_after_ms(0, limit_ms);
}

void
sierra_look_budget_spend(HTAB *budget, Oid owner, SierraTime took)
{
	bool found;
	Spent *spent = hash_search(budget, &owner, HASH_ENTER, &found);

	spent->time = found ? spent->time + took : took;
}
