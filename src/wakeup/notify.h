/*
 * notify.h
 *		NOTIFY sierra_es: the channel and its payload.
 */
#ifndef SIERRA_NOTIFY_H
#define SIERRA_NOTIFY_H

#define SIERRA_CHANNEL "sierra_es"

/*
 * Sends a notification, with the commit of this transaction, that the store has
 * events up to a position: {"store":"es","position":1234}.
 */
extern void sierra_notify(const char *store, int64 position);

#endif /* SIERRA_NOTIFY_H */
