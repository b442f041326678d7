/*
 * announce.h
 *		What appends announce: below which positions they write nothing.
 *
 * A reader of the whole store that finds the writer of a partition, but no row of it
 * yet, knows from the announcement how far it may read all the same.  Without shared
 * memory there are no announcements.
 */
#ifndef SIERRA_ANNOUNCE_H
#define SIERRA_ANNOUNCE_H

#include "storage/lock.h"

#include "store/store.h"

/*
 * Announces that this transaction takes only positions above the current ones of the
 * store.  Called before the transaction shows itself to readers as a writer.
 */
extern void sierra_announce(const SierraStore *store);

/*
 * The position that this transaction has announced for this store: all events that it
 * still has to write are above.  SIERRA_NONE if it has not announced any.
 */
extern int64 sierra_announced(const SierraStore *store, VirtualTransactionId transaction);

#endif /* SIERRA_ANNOUNCE_H */
