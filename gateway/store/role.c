#include "store/role.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/settings.h"

struct StoreRole
{
	int references;
	char *name;
};

static struct event_base *base;
static StoreRole *default_role;

void
store_setup(struct event_base *event_base, struct evdns_base *resolver)
{
	(void) resolver;
	base = event_base;
	default_role = mem_zero(sizeof(StoreRole));
	default_role->name = mem_text("default");
	default_role->references = 1;
}

struct event_base *
store_base(void)
{
	return base;
}

StoreRole *
store_role_default(void)
{
	return default_role;
}

StoreRole *
store_role_ref(StoreRole *role)
{
	role->references++;
	return role;
}

void
store_role_unref(StoreRole *role)
{
	role->references--;
}

const char *
store_role_name(const StoreRole *role)
{
	return role->name;
}

const StoreFacts *
store_role_facts(const StoreRole *role)
{
	(void) role;
	return NULL;
}

int
store_role_partitions(const StoreRole *role)
{
	const StoreFacts *facts = store_role_facts(role);

	return facts != NULL ? facts->partitions : 32;
}

void
store_login(const char *user, const char *password, StoreLoginDone done, void *arg)
{
	StoreError error = {.message = "no logins yet", .detail = ""};

	(void) user;
	(void) password;
	done(arg, NULL, true, &error);
}
