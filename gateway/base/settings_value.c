#include "base/settings_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <libpq-fe.h>

#include "base/listen_address.h"
#include "base/memory.h"

typedef struct Unit
{
	const char *name;
	int64_t factor;
} Unit;

static const Unit size_units[] = {{"", 1},		   {"B", 1},		{"kB", 1 << 10},
								  {"MB", 1 << 20}, {"GB", 1 << 30}, {NULL, 0}};
static const Unit time_units[] = {{"", 1},		  {"ms", 1},	  {"s", 1000},
								  {"min", 60000}, {"h", 3600000}, {NULL, 0}};
static const Unit no_units[] = {{"", 1}, {NULL, 0}};

bool
setting_parse_bool(const char *value, bool *result)
{
	static const char *const yes[] = {"on", "true", "yes", "1", NULL};
	static const char *const no[] = {"off", "false", "no", "0", NULL};

	*result = setting_find_word(value, yes) >= 0;
	return *result || setting_find_word(value, no) >= 0;
}

int
setting_find_word(const char *value, const char *const *words)
{
	for (int i = 0; words[i] != NULL; i++)
		if (strcasecmp(value, words[i]) == 0)
			return i;
	return -1;
}

/* A whole number with a unit, within the bounds. */
static bool
parse_number(const SettingDefinition *definition, const char *value, const Unit *units,
			 int64_t *number, char *reason, size_t size)
{
	char *end;
	long long digits;

	errno = 0;
	digits = strtoll(value, &end, 10);
	while (end > value && isspace((unsigned char) *end))
		end++;
	for (const Unit *unit = units; end > value && errno == 0 && unit->name != NULL; unit++)
	{
		if (strcmp(end, unit->name) != 0)
			continue;
		if (__builtin_mul_overflow(digits, unit->factor, number) || *number < definition->low ||
			*number > definition->high)
		{
			snprintf(reason, size, "%.40s is outside of the range %lld to %lld", value,
					 (long long) definition->low, (long long) definition->high);
			return false;
		}
		return true;
	}
	snprintf(reason, size, "\"%.40s\" is not a number%s", value,
			 units == size_units   ? " with B, kB, MB or GB"
			 : units == time_units ? " with ms, s, min or h"
								   : "");
	return false;
}

static bool
parse_choice(int *field, const SettingDefinition *definition, const char *value, char *reason,
			 size_t size)
{
	int found = setting_find_word(value, definition->words);

	if (found < 0)
	{
		int used = snprintf(reason, size, "\"%.40s\" is not one of", value);

		for (int i = 0; definition->words[i] != NULL && (size_t) used < size; i++)
			used += snprintf(reason + used, size - used, " %s", definition->words[i]);
		return false;
	}
	*field = found;
	return true;
}

bool
setting_parse(Settings *all, const SettingDefinition *definition, const char *value, char *reason,
			  size_t size)
{
	void *field = (char *) all + definition->offset;
	int64_t number;

	switch (definition->type)
	{
		case SETTING_TEXT:
			mem_free_secret(*(char **) field);
			*(char **) field = mem_text(value);
			return true;
		case SETTING_BOOL:
			if (setting_parse_bool(value, field))
				return true;
			snprintf(reason, size, "\"%.40s\" is neither on nor off", value);
			return false;
		case SETTING_INT:
		case SETTING_TIME:
			if (!parse_number(definition, value,
							  definition->type == SETTING_TIME ? time_units : no_units, &number,
							  reason, size))
				return false;
			*(int *) field = (int) number;
			return true;
		case SETTING_SIZE:
			return parse_number(definition, value, size_units, field, reason, size);
		case SETTING_CHOICE:
			return parse_choice(field, definition, value, reason, size);
		case SETTING_LISTEN:
			return listen_address_add(all, value, reason, size);
	}
	return false;
}

static size_t
field_size(const SettingDefinition *definition)
{
	switch (definition->type)
	{
		case SETTING_TEXT:
			return sizeof(char *);
		case SETTING_BOOL:
			return sizeof(bool);
		case SETTING_SIZE:
			return sizeof(int64_t);
		default:
			return sizeof(int);
	}
}

bool
setting_equal(const Settings *a, const Settings *b, const SettingDefinition *definition)
{
	const char *field_a = (const char *) a + definition->offset;
	const char *field_b = (const char *) b + definition->offset;

	if (definition->type == SETTING_TEXT)
		return strcmp(*(char *const *) field_a, *(char *const *) field_b) == 0;
	return memcmp(field_a, field_b, field_size(definition)) == 0;
}

void
setting_swap(Settings *a, Settings *b, const SettingDefinition *definition)
{
	char kept[sizeof(int64_t)];
	size_t size = field_size(definition);
	char *field_a = (char *) a + definition->offset;
	char *field_b = (char *) b + definition->offset;

	memcpy(kept, field_a, size);
	memcpy(field_a, field_b, size);
	memcpy(field_b, kept, size);
}

/*
 * Of what libpq says, only the name of an unknown option is repeated: other texts have parts of the
 * connection string, and so perhaps of a password.
 */
bool
setting_check_conninfo(const char *conninfo, char *reason, size_t size)
{
	char *error = NULL;
	PQconninfoOption *options = PQconninfoParse(conninfo, &error);
	const char *newline = error != NULL ? strchr(error, '\n') : NULL;
	bool is_unknown_option = error != NULL && strncmp(error, "invalid connection option", 25) == 0;

	if (options == NULL)
		snprintf(reason, size, "not a connection string%s%.*s", is_unknown_option ? ": " : "",
				 is_unknown_option ? (int) (newline != NULL ? newline - error : 100) : 0, error);
	PQconninfoFree(options);
	PQfreemem(error);
	return options != NULL;
}

bool
setting_has_password(const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	bool found = false;

	for (PQconninfoOption *option = options; option != NULL && option->keyword != NULL; option++)
		if (strcmp(option->keyword, "password") == 0 || strcmp(option->keyword, "sslpassword") == 0)
			found = found || (option->val != NULL && option->val[0] != '\0');
	PQconninfoFree(options);
	return found;
}

static char *
skip_blanks(char *at)
{
	while (isspace((unsigned char) *at))
		at++;
	return at;
}

/* Writes the value behind the opening quote over itself; NULL if it does not end. */
static char *
unquote(char *at)
{
	char *to = at;

	for (;; at++)
	{
		if (*at == '\0')
			return NULL;
		if (*at == '\'' && at[1] == '\'')
			at++;
		else if (*at == '\'')
			break;
		*to++ = *at;
	}
	at++;
	*to = '\0';
	return at;
}

bool
setting_split_line(char *line, char **name, size_t *name_length, char **value)
{
	char *at = skip_blanks(line);
	char *end;

	*name = NULL;
	if (*at == '\0' || *at == '#')
		return true;
	*name = at;
	while (isalnum((unsigned char) *at) || *at == '_' || *at == '-')
		at++;
	*name_length = (size_t) (at - *name);
	at = skip_blanks(at);
	if (*at == '=')
		at = skip_blanks(at + 1);
	if (*name_length == 0 || *at == '\0' || *at == '#')
		return false;

	if (*at == '\'')
	{
		*value = at + 1;
		end = unquote(at + 1);
		if (end == NULL)
			return false;
		end = skip_blanks(end);
		return *end == '\0' || *end == '#';
	}
	*value = at;
	while (*at != '\0' && *at != '#' && !isspace((unsigned char) *at))
		at++;
	end = skip_blanks(at);
	if (*end != '\0' && *end != '#')
		return false;
	*at = '\0';
	return true;
}
