#include "store/role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/settings.h"
#include "base/text.h"
#include "store/connect.h"
#include "store/role_internal.h"
#include "store/writer.h"

/* How long clients wait at the start for what a connection would show. */
#define FIRST_CONNECT_SECONDS 3

static struct event_base *base;
static StoreRole *roles;
static int role_count;
static StoreRole *default_role;
static void (*end_follower)(void *follower);

struct event_base *
store_base(void)
{
	return base;
}

/* ---- life of a role ---- */

StoreRole *
role_find(const char *user, const char *password)
{
	for (StoreRole *role = roles; role != NULL; role = role->next)
		if (role->user != NULL && strcmp(role->user, user) == 0 &&
			text_equal_secret(role->password, password))
			return role;
	return NULL;
}

static void
destroy(StoreRole *role)
{
	StoreRole **link = &roles;

	while (*link != role)
		link = &(*link)->next;
	*link = role->next;
	role_count--;
	if (role->follower != NULL && end_follower != NULL)
		end_follower(role->follower);
	for (int i = 0; i < settings.readers; i++)
		link_destroy(role->readers[i]);
	for (int i = 0; i < settings.writers; i++)
		writer_destroy(role->writers[i]);
	event_free(role->idle_timer);
	free(role->readers);
	free(role->writers);
	free(role->user);
	mem_free_secret(role->password);
	free(role->name);
	free(role);
}

static void
on_idle(evutil_socket_t fd, short what, void *arg)
{
	StoreRole *role = arg;

	(void) fd;
	(void) what;
	if (role->references > 0)
		return;
	log_line(LOG_INFO, "role %s: closed its connections", role->name);
	destroy(role);
}

StoreRole *
role_create(const char *user, const char *password)
{
	StoreRole *role;

	if (role_count > settings.max_roles)
		return NULL;
	role = mem_zero(sizeof(StoreRole));
	role->references = 1;
	role->user = user != NULL ? mem_text(user) : NULL;
	role->password = password != NULL ? mem_text(password) : NULL;
	role->name = user != NULL ? mem_text(user) : connect_default_user();
	role->readers = mem_zero(settings.readers * sizeof(StoreLink *));
	role->writers = mem_zero(settings.writers * sizeof(struct StoreWriter *));
	for (int i = 0; i < settings.readers; i++)
	{
		char name[32];

		snprintf(name, sizeof(name), "reader %d", i + 1);
		role->readers[i] = link_create(role, name);
	}
	for (int i = 0; i < settings.writers; i++)
		role->writers[i] = writer_create(role, i + 1);
	role->idle_timer = evtimer_new(base, on_idle, role);
	role->next = roles;
	roles = role;
	role_count++;
	return role;
}

StoreRole *
store_role_ref(StoreRole *role)
{
	role->references++;
	evtimer_del(role->idle_timer);
	return role;
}

void
store_role_unref(StoreRole *role)
{
	const struct timeval wait = {settings.role_idle_time / 1000,
								 settings.role_idle_time % 1000 * 1000};

	if (--role->references == 0)
		evtimer_add(role->idle_timer, &wait);
}

/* ---- the default role ---- */

void
store_setup(struct event_base *event_base, struct evdns_base *resolver)
{
	base = event_base;
	connect_setup(base, resolver);
	default_role = role_create(NULL, NULL);
}

void
store_connect_first(void)
{
	int64_t deadline = clock_usecs() + FIRST_CONNECT_SECONDS * INT64_C(1000000);
	const struct timeval interval = {0, 20 * 1000};

	link_wake(default_role->readers[0]);
	while (link_facts(default_role->readers[0]) == NULL &&
		   !link_is_down(default_role->readers[0]) && clock_usecs() < deadline &&
		   !event_base_got_break(base))
	{
		event_base_loopexit(base, &interval);
		event_base_dispatch(base);
	}
}

void
store_close(void)
{
	while (roles != NULL)
		destroy(roles);
	default_role = NULL;
}

StoreRole *
store_role_default(void)
{
	return default_role;
}

/* ---- what is known ---- */

const char *
store_role_name(const StoreRole *role)
{
	return role->name;
}

const char *
store_role_user(const StoreRole *role)
{
	return role->user;
}

const char *
store_role_password(const StoreRole *role)
{
	return role->password;
}

static const StoreFacts *
newer(const StoreFacts *one, const StoreFacts *other)
{
	if (one == NULL || other == NULL)
		return one != NULL ? one : other;
	return one->learned_at >= other->learned_at ? one : other;
}

/* A store may be another one now: what was learned last counts. */
const StoreFacts *
store_role_facts(const StoreRole *role)
{
	const StoreFacts *facts = NULL;

	for (int i = 0; i < settings.readers; i++)
		facts = newer(facts, link_facts(role->readers[i]));
	for (int i = 0; i < settings.writers; i++)
		facts = newer(facts, writer_facts(role->writers[i]));
	return facts != NULL || role == default_role ? facts : store_role_facts(default_role);
}

int
store_role_partitions(const StoreRole *role)
{
	const StoreFacts *facts = store_role_facts(role);

	return facts != NULL && facts->partitions > 0 ? facts->partitions : 32;
}

bool
store_is_reachable(void)
{
	for (const StoreRole *role = roles; role != NULL; role = role->next)
		for (int i = 0; i < settings.readers; i++)
			if (link_facts(role->readers[i]) != NULL && !link_is_down(role->readers[i]))
				return true;
	return false;
}

StoreLink *
store_reader(StoreRole *role, uint64_t affinity)
{
	return role->readers[affinity % (uint64_t) settings.readers];
}

void **
store_role_follower(StoreRole *role)
{
	return &role->follower;
}

void
store_role_set_follower_end(void (*end)(void *follower))
{
	end_follower = end;
}
