/*
 * link.h
 *		A session at PostgreSQL that lasts: a queue of requests over a connection that is made
 *		again when it is lost.
 *
 * Requests are sent at once, in their order (pipeline mode), each a transaction of its own.  A
 * request has ended when PostgreSQL is ready for the next one, so after its commit.  When the
 * connection is lost, all that were not answered are sent again: every request must be one
 * that can be repeated.  After settings.retry_time a request fails.
 *
 * Nothing here waits: the host names are looked up by libevent, libpq's socket is an event.
 */
#ifndef STORE_LINK_H
#define STORE_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "store/error.h"
#include "store/statement.h"

struct StoreRole;
typedef struct StoreLink StoreLink;
typedef struct StoreRequest StoreRequest;

/* What a link knows about its store once it was connected. */
typedef struct StoreFacts
{
	int partitions;
	uint32_t expected_version_type;
	uint32_t json_type;
	bool in_recovery;
	/* how many sessions the link has had; the server of another one can be another server */
	int sessions;
	/* when, by clock_usecs() */
	int64_t learned_at;
} StoreFacts;

struct StoreRequest
{
	const StoreStatement *statement;
	StoreParameters parameters;
	/*
	 * If given, fills in the parameters each time before they are sent, when the facts are known;
	 * they are freed as soon as they are sent.
	 */
	void (*build)(StoreRequest *request, const StoreFacts *facts);
	/*
	 * Each row of the result, which is in binary format.  After a lost connection the rows
	 * come again: begin() is called before the first row each time.  Both may be NULL.
	 */
	void (*begin)(StoreRequest *request);
	/* Rows are handed over as they arrive, and do not wait in memory for the last. */
	bool row_by_row;
	void (*row)(StoreRequest *request, const PGresult *result, int row);
	/* It may change something, so that its outcome matters when the connection is lost. */
	bool writes;
	/* Once, error is NULL if all went well.  The link has forgotten the request. */
	void (*done)(StoreRequest *request, const StoreError *error);
	void *arg;

	/* The rest belongs to the link. */
	int64_t deadline;
	bool was_sent;
	bool is_cancelled;
	/* what has been sent for it and is not answered */
	bool prepares;
	bool has_begun;
	PGresult *error;
	StoreRequest *next;
};

/* name: for the log, and application_name. */
extern StoreLink *link_create(struct StoreRole *role, const char *name);
/* Requests that have not ended fail with STORE_DOWN. */
extern void link_destroy(StoreLink *link);
/*
 * The request, and its parameters, must exist until done() or link_cancel().  done() is never
 * called before this returns.
 */
extern void link_send(StoreLink *link, StoreRequest *request);
/*
 * The caller does not want the answer any more: nothing is called, and the link frees the
 * request and its parameters, which must have been allocated, when it is answered.
 */
extern void link_cancel(StoreLink *link, StoreRequest *request);
/* Requests that have not ended. */
extern int link_load(const StoreLink *link);
/* Ends the connection if nothing is under way; the next request makes it again. */
extern void link_rest(StoreLink *link);
/* Begins to connect now, without a request. */
extern void link_wake(StoreLink *link);
/* Has the last attempt to connect failed? */
extern bool link_is_down(const StoreLink *link);
/* NULL until the first connection; kept when it is lost. */
extern const StoreFacts *link_facts(const StoreLink *link);

#endif /* STORE_LINK_H */
