/*
 * event_reply.h
 *		An event, as replies and pushes carry it.
 */
#ifndef COMMAND_EVENT_REPLY_H
#define COMMAND_EVENT_REPLY_H

#include "frame/reply.h"
#include "store/event.h"

/* A map of eleven keys, in SierraDB's order. */
extern void event_reply_map(Reply *reply, const StoreEvent *event);
/*
 * The tutorial's array: event id, event name, stream id, version (from 1), milliseconds, payload,
 * metadata.
 */
extern void event_reply_array(Reply *reply, const StoreEvent *event);

#endif /* COMMAND_EVENT_REPLY_H */
