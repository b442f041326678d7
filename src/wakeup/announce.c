/*
 * announce.c
 *		What appends announce: below which positions they write nothing.
 *
 * Each backend has a place in shared memory for the announcement of its current
 * transaction.  The local transaction id says which one that is.  So nothing has to be
 * cleared at the end of a transaction, after an error or after a crash: an announcement
 * counts only while a transaction with this id holds a partition lock.  A prepared
 * transaction keeps its id, and its announcement until the backend makes the next one.
 *
 * The first announcement of a transaction stays until its end, because later positions
 * of the transaction are only higher.  A transaction that appends to several stores
 * announces only for the first.
 */
#include "postgres.h"

#include "base/compat.h"
#include "store/event.h"
#include "store/position_sequence.h"
#include "wakeup/announce.h"
#include "wakeup/shared.h"

#include "miscadmin.h"

static SierraAnnouncement *
place_of(int backend)
{
	if (sierra_shared == NULL || backend < 0 || backend >= MaxBackends)
		return NULL;
	return &sierra_shared->announcement[backend];
}

void
sierra_announce(const SierraStore *store)
{
	SierraAnnouncement *place = place_of(sierra_compat_backend_number());
	LocalTransactionId transaction = sierra_compat_local_transaction_id();

	if (place == NULL || pg_atomic_read_u32(&place->transaction) == transaction)
		return;
	pg_atomic_write_u32(&place->transaction, InvalidLocalTransactionId);
	pg_write_barrier();
	place->database = MyDatabaseId;
	place->events = store->events;
	place->position = sierra_position_last(store);
	pg_write_barrier();
	pg_atomic_write_u32(&place->transaction, transaction);
}

int64
sierra_announced(const SierraStore *store, VirtualTransactionId transaction)
{
	SierraAnnouncement *place = place_of(sierra_compat_backend_of(transaction));
	bool is_ours;
	int64 position;

	if (place == NULL || pg_atomic_read_u32(&place->transaction) != transaction.localTransactionId)
		return SIERRA_NONE;
	pg_read_barrier();
	is_ours = place->database == MyDatabaseId && place->events == store->events;
	position = place->position;
	pg_read_barrier();

	/* The backend may have continued to its next transaction while we read. */
	if (!is_ours || pg_atomic_read_u32(&place->transaction) != transaction.localTransactionId)
		return SIERRA_NONE;
	return position;
}
