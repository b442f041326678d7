/*
 * role_internal.h
 *		What links, logins and writers know of a role.
 */
#ifndef STORE_ROLE_INTERNAL_H
#define STORE_ROLE_INTERNAL_H

#include "store/role.h"

struct StoreWriter;

struct StoreRole
{
	int references;
	/* NULL for the role of the connection string */
	char *user;
	char *password;
	/* as clients see it */
	char *name;
	/* clock_usecs() when PostgreSQL last took the password */
	int64_t verified_at;
	StoreLink **readers;
	struct StoreWriter **writers;
	void *follower;
	struct event *idle_timer;
	StoreRole *next;
};

/* A role with this login, if there is one; the caller gets no reference. */
extern StoreRole *role_find(const char *user, const char *password);
/* A new one, with a reference for the caller; NULL if there are too many. */
extern StoreRole *role_create(const char *user, const char *password);

#endif /* STORE_ROLE_INTERNAL_H */
