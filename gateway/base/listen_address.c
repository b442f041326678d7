#include "base/listen_address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/settings_value.h"
#include "base/text.h"

/* An option that the address does not name has this value until all settings are read. */
#define NOT_GIVEN 99

bool
listen_address_split(const char *text, const char *default_port, char **host, char **port)
{
	const char *host_begin = text;
	const char *host_end;
	const char *colon;
	uint64_t number;

	if (text[0] == '[')
	{
		host_begin++;
		host_end = strchr(text, ']');
		if (host_end == NULL || (host_end[1] != ':' && host_end[1] != '\0'))
			return false;
		colon = host_end[1] == ':' ? host_end + 1 : NULL;
	}
	else
	{
		colon = strchr(text, ':');
		host_end = colon != NULL ? colon : text + strlen(text);
		/* digits alone are a port */
		if (colon == NULL && text_to_uint64(text, strlen(text), &number))
		{
			host_end = host_begin;
			colon = text - 1;
		}
	}
	if (colon != NULL)
		default_port = colon + 1;
	if (!text_to_uint64(default_port, strlen(default_port), &number) || number > 65535)
		return false;
	*port = mem_text(default_port);
	*host = host_end == host_begin ? mem_text("127.0.0.1")
								   : mem_copy(host_begin, (size_t) (host_end - host_begin));
	return true;
}

static bool
set_option(ListenAddress *address, char *option)
{
	static const char *const dialects[] = {"sierradb", "tutorial", NULL};
	static const char *const esub_replies[] = {"id", "batch", NULL};
	char *value = strchr(option, '=');
	int word;

	if (value == NULL)
		return false;
	*value++ = '\0';
	if (strcmp(option, "tls") == 0)
		return setting_parse_bool(value, &address->tls);
	if (strcmp(option, "dialect") == 0 && (word = setting_find_word(value, dialects)) >= 0)
		address->dialect = (Dialect) word;
	else if (strcmp(option, "esub_reply") == 0 &&
			 (word = setting_find_word(value, esub_replies)) >= 0)
		address->esub_reply = (EsubReply) word;
	else
		return false;
	return true;
}

bool
listen_address_add(Settings *all, const char *value, char *reason, size_t size)
{
	ListenAddress address = {.dialect = NOT_GIVEN, .esub_reply = NOT_GIVEN};
	char *copy = mem_text(value);
	char *rest = copy;
	char *word = strtok_r(copy, " \t", &rest);
	bool good = word != NULL && listen_address_split(word, "9090", &address.host, &address.port);

	while (good && (word = strtok_r(NULL, " \t", &rest)) != NULL)
		good = set_option(&address, word);
	free(copy);
	if (!good)
	{
		free(address.host);
		free(address.port);
		snprintf(reason, size,
				 "\"%.100s\" is not 'host:port' with options dialect=sierradb|tutorial, "
				 "esub_reply=id|batch, tls=on|off",
				 value);
		return false;
	}
	all->listen = mem_resize(all->listen, (all->listen_count + 1) * sizeof(ListenAddress));
	all->listen[all->listen_count++] = address;
	return true;
}

bool
listen_addresses_complete(Settings *all, char *reason, size_t size)
{
	for (int i = 0; i < all->listen_count; i++)
	{
		ListenAddress *address = &all->listen[i];

		if (address->dialect == (Dialect) NOT_GIVEN)
			address->dialect = all->dialect;
		if (address->esub_reply == (EsubReply) NOT_GIVEN)
			address->esub_reply = all->esub_reply;
		for (int j = 0; j < i; j++)
			if (strcmp(address->host, all->listen[j].host) == 0 &&
				strcmp(address->port, all->listen[j].port) == 0 && strcmp(address->port, "0") != 0)
			{
				snprintf(reason, size, "%.100s:%s is given twice", address->host, address->port);
				return false;
			}
	}
	return true;
}

bool
listen_addresses_equal(const Settings *a, const Settings *b)
{
	if (a->listen_count != b->listen_count)
		return false;
	for (int i = 0; i < a->listen_count; i++)
	{
		const ListenAddress *one = &a->listen[i];
		const ListenAddress *other = &b->listen[i];

		if (strcmp(one->host, other->host) != 0 || strcmp(one->port, other->port) != 0 ||
			one->dialect != other->dialect || one->esub_reply != other->esub_reply ||
			one->tls != other->tls)
			return false;
	}
	return true;
}

void
listen_addresses_free(Settings *all)
{
	for (int i = 0; i < all->listen_count; i++)
	{
		free(all->listen[i].host);
		free(all->listen[i].port);
	}
	free(all->listen);
	all->listen = NULL;
	all->listen_count = 0;
}
