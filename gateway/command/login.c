#include "command/login.h"

#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "command/failure.h"

typedef struct Login
{
	Call *call;
	char *user;
	void (*then)(Call *call);
} Login;

static void
finish(void *arg, StoreRole *role, bool refused, const StoreError *error)
{
	Login *login = arg;
	Call *call = login->call;
	Client *client = call->client;
	void (*then)(Call *) = login->then;
	char user[80];

	text_printable(login->user, strlen(login->user), user, sizeof(user));
	free(login->user);
	free(login);
	if (role != NULL)
	{
		counters.logins++;
		log_line(LOG_INFO, "client %llu (%s): logged in as %s", (unsigned long long) client->id,
				 client->address, user);
		client_set_role(client, role);
		store_role_unref(role);
		then(call);
		return;
	}
	counters.failed_logins++;
	log_line(LOG_WARNING, "client %llu (%s): login as %s failed: %s",
			 (unsigned long long) client->id, client->address, user, error->message);
	if (refused)
		call_error(call, "WRONGPASS invalid username-password pair or user is disabled.");
	else
		call_store_error(call, error);
}

/* Neither can be what PostgreSQL takes for a name or a password; it would see less of it. */
static bool
is_plain(const Word *word)
{
	return word->type == WORD_STRING && word->length > 0 && word->length <= 1024 &&
		   memchr(word->data, '\0', word->length) == NULL;
}

void
login(Call *call, const Word *user, const Word *password, void (*then)(Call *call))
{
	Login *login;

	if ((user != NULL && !is_plain(user)) || !is_plain(password))
	{
		counters.failed_logins++;
		call_error(call, "WRONGPASS invalid username-password pair or user is disabled.");
		return;
	}
	login = mem_zero(sizeof(Login));
	login->call = call;
	login->then = then;
	/* clients that know only a password say "default", or nothing */
	login->user = mem_text(user == NULL || strcmp(user->data, "default") == 0
							   ? store_role_name(store_role_default())
							   : user->data);
	store_login(login->user, password->data, finish, login);
}
