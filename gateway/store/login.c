/*
 * login.c
 *		Asks PostgreSQL whether a password is right.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "store/connect.h"
#include "store/role_internal.h"

/* A pool of clients logs in many times within this: PostgreSQL is asked once. */
#define REMEMBERED_USECS INT64_C(10000000)

/*
 * Logins that may ask PostgreSQL at the same time; others wait.  Clients that guess passwords must
 * not take all connections of the server.
 */
#define MAX_ATTEMPTS 8

typedef struct Attempt
{
	struct Attempt *next;
	char *user;
	char *password;
	StoreLoginDone done;
	void *arg;
} Attempt;

static int running;
static Attempt *first_waiting;
static Attempt *last_waiting;

static void start_waiting(void);

static void
finish(Attempt *attempt, StoreRole *role, bool refused, const StoreError *error)
{
	attempt->done(attempt->arg, role, refused, error);
	free(attempt->user);
	mem_free_secret(attempt->password);
	free(attempt);
	running--;
	start_waiting();
}

/* The password is right: the role of others with the same login, or a new one. */
static void
accept_login(Attempt *attempt)
{
	static const StoreError too_many = {
		STORE_DOWN, "53300", "too many users are logged in at a time (max_roles)", "", "", "", ""};
	StoreRole *role = role_find(attempt->user, attempt->password);

	if (role != NULL)
		store_role_ref(role);
	else
		role = role_create(attempt->user, attempt->password);
	if (role != NULL)
		role->verified_at = clock_usecs();
	finish(attempt, role, false, role != NULL ? NULL : &too_many);
}

static void
on_connected(void *arg, PGconn *connection, const StoreError *error)
{
	static const StoreError no_password = {
		STORE_DOWN,
		"28000",
		"PostgreSQL did not ask for the password (see pg_hba.conf), so it proves nothing",
		"",
		"",
		"",
		""};
	Attempt *attempt = arg;
	bool asked;

	if (connection == NULL)
	{
		finish(attempt, NULL, strncmp(error->sqlstate, "28", 2) == 0, error);
		return;
	}
	/* where PostgreSQL trusts this machine, any client could be anybody */
	asked = PQconnectionUsedPassword(connection);
	PQfinish(connection);
	if (asked)
		accept_login(attempt);
	else
		finish(attempt, NULL, true, &no_password);
}

static void
start_waiting(void)
{
	while (first_waiting != NULL && running < MAX_ATTEMPTS)
	{
		Attempt *attempt = first_waiting;

		first_waiting = attempt->next;
		running++;
		connect_start(attempt->user, attempt->password, "sierra_gateway login", 0, on_connected,
					  attempt);
	}
}

void
store_login(const char *user, const char *password, StoreLoginDone done, void *arg)
{
	StoreRole *role = role_find(user, password);
	Attempt *attempt;

	if (role != NULL && clock_usecs() - role->verified_at < REMEMBERED_USECS)
	{
		done(arg, store_role_ref(role), false, NULL);
		return;
	}
	attempt = mem_zero(sizeof(Attempt));
	attempt->user = mem_text(user);
	attempt->password = mem_text(password);
	attempt->done = done;
	attempt->arg = arg;
	if (first_waiting != NULL)
		last_waiting->next = attempt;
	else
		first_waiting = attempt;
	last_waiting = attempt;
	start_waiting();
}
