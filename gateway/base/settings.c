#include "base/settings.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/listen_address.h"
#include "base/memory.h"
#include "base/settings_value.h"

Settings settings;

static int flag_count;
static char **flags;
static char *file_name;
static bool check_only;

#define TEXT(field) SETTING_TEXT, offsetof(Settings, field), 0, 0, NULL
#define FLAG(field) SETTING_BOOL, offsetof(Settings, field), 0, 0, NULL
#define INT(field, low, high) SETTING_INT, offsetof(Settings, field), low, high, NULL
#define SIZE(field, low, high) SETTING_SIZE, offsetof(Settings, field), low, high, NULL
#define TIME(field, low, high) SETTING_TIME, offsetof(Settings, field), low, high, NULL
#define CHOICE(field, words) SETTING_CHOICE, offsetof(Settings, field), 0, 0, words

static const char *const dialects[] = {"sierradb", "tutorial", NULL};
static const char *const esub_replies[] = {"id", "batch", NULL};
static const char *const log_levels[] = {"debug", "info", "warning", "error", NULL};

#define KB INT64_C(1024)
#define MB (1024 * KB)
#define GB (1024 * MB)
#define DAY (24 * 3600 * 1000)

/* In the order of --help.  With true, SIGHUP takes over a new value. */
static const SettingDefinition definitions[] = {
	{"listen", SETTING_LISTEN, 0, 0, 0, NULL, "127.0.0.1:9090", false,
	 "address to listen on, with options for its clients: 'host:port dialect=tutorial tls=on'; "
	 "repeatable"},
	{"database", TEXT(database), "", false, "connection string of the database, as libpq reads it"},
	{"store", TEXT(store), "", false,
	 "event store; empty: that of sierra_es.store in the database"},
	{"dialect", CHOICE(dialect, dialects), "sierradb", false,
	 "shape of replies: sierradb, or tutorial (bare numbers, counted from 1)"},
	{"esub_reply", CHOICE(esub_reply, esub_replies), "id", false,
	 "ESUB answers with the id of a subscription, or with a batch of the next events"},
	{"default_window", INT(default_window, 0, INT_MAX), "0", true,
	 "events that are sent before EACK acknowledges them, if WINDOW is not given; 0: any number"},
	{"strict_versioning", FLAG(strict_versioning), "off", true,
	 "refuse appends whose expected version is any or exists"},
	{"require_auth", FLAG(require_auth), "off", true, "answer only clients that have sent AUTH"},
	{"writers", INT(writers, 1, 64), "2", false, "connections that append, for each role"},
	{"readers", INT(readers, 1, 64), "2", false, "connections that read, for each role"},
	{"batch_events", INT(batch_events, 1, 100000), "1000", true,
	 "events that are committed together at most"},
	{"batch_size", SIZE(batch_size, KB, 256 * MB), "8MB", true,
	 "bytes that are committed together at most; a larger append is committed alone"},
	{"retry_time", TIME(retry_time, 0, DAY), "10s", true,
	 "how long requests wait for a lost server before they fail"},
	{"role_idle_time", TIME(role_idle_time, 0, DAY), "1min", true,
	 "after which a role without clients closes its connections"},
	{"slow_time", TIME(slow_time, 0, DAY), "500ms", true,
	 "commands that take longer are logged; 0: none"},
	{"drain_time", TIME(drain_time, 0, DAY), "30s", true,
	 "how long a stopped gateway finishes what it has accepted"},
	{"stall_time", TIME(stall_time, 0, DAY), "1min", true,
	 "after which a client that does not read its replies is closed"},
	{"max_clients", INT(max_clients, 1, 1000000), "10000", true, "connections of clients"},
	{"max_roles", INT(max_roles, 1, 10000), "100", true, "logins of PostgreSQL at a time"},
	{"max_frame_size", SIZE(max_frame_size, KB, 512 * MB), "64MB", true, "size of a command"},
	{"max_words", INT(max_words, 16, 10000000), "100000", true, "number of words of a command"},
	{"output_limit", SIZE(output_limit, 64 * KB, 4 * GB), "64MB", true,
	 "size of a reply, and of the replies that wait for a client to read them"},
	{"ring_size", SIZE(ring_size, 64 * KB, 4 * GB), "16MB", true,
	 "recent events that are kept in memory for subscriptions, for each role"},
	{"tls_cert_file", TEXT(tls_cert_file), "", true, "certificate, with its chain"},
	{"tls_key_file", TEXT(tls_key_file), "", true, "private key of the certificate"},
	{"tls_ca_file", TEXT(tls_ca_file), "", true,
	 "if given, clients need a certificate of this authority"},
	{"metrics", TEXT(metrics), "", false,
	 "address of /metrics and /health, such as '127.0.0.1:9091'; empty: none"},
	{"log_level", CHOICE(log_level, log_levels), "info", true, "debug, info, warning or error"},
};

#define DEFINITION_COUNT (sizeof(definitions) / sizeof(definitions[0]))

static bool __attribute__((format(printf, 2, 3)))
fail(SettingsError *error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	return false;
}

/* The names of flags may have hyphens. */
static const SettingDefinition *
find_definition(const char *name, size_t length)
{
	for (size_t i = 0; i < DEFINITION_COUNT; i++)
	{
		const char *own = definitions[i].name;
		size_t at = 0;

		while (at < length && (own[at] == name[at] || (own[at] == '_' && name[at] == '-')))
			at++;
		if (at == length && own[at] == '\0')
			return &definitions[i];
	}
	return NULL;
}

static void
settings_clear(Settings *all)
{
	for (size_t i = 0; i < DEFINITION_COUNT; i++)
		if (definitions[i].type == SETTING_TEXT)
			mem_free_secret(*(char **) ((char *) all + definitions[i].offset));
	listen_addresses_free(all);
	memset(all, 0, sizeof(*all));
}

static bool
set(Settings *all, const SettingDefinition *definition, const char *value, const char *where,
	SettingsError *error)
{
	char reason[256];

	if (setting_parse(all, definition, value, reason, sizeof(reason)))
		return true;
	return fail(error, "%s: %s: %s", where, definition->name, reason);
}

/* A line of the file: nothing, or name = value. */
static bool
read_line(Settings *all, char *line, const char *where, SettingsError *error)
{
	const SettingDefinition *definition;
	char *name;
	char *value;
	size_t length;

	if (!setting_split_line(line, &name, &length, &value))
		return fail(error, "%s: syntax error, expected name = 'value'", where);
	if (name == NULL)
		return true;
	definition = find_definition(name, length);
	if (definition == NULL)
		return fail(error, "%s: there is not a setting \"%.*s\"", where, (int) length, name);
	return set(all, definition, value, where, error);
}

static bool
read_file(Settings *all, SettingsError *error)
{
	FILE *file;
	char *line = NULL;
	size_t size = 0;
	int number = 0;
	bool good = true;

	file = fopen(file_name, "r");
	if (file == NULL)
		return fail(error, "could not open \"%s\": %m", file_name);
	while (good && getline(&line, &size, file) >= 0)
	{
		char where[300];

		snprintf(where, sizeof(where), "%.250s, line %d", file_name, ++number);
		good = read_line(all, line, where, error);
	}
	if (good && ferror(file))
		good = fail(error, "could not read \"%s\": %m", file_name);
	if (line != NULL)
		explicit_bzero(line, size);
	free(line);
	fclose(file);
	return good;
}

/*
 * "--name=value" or "--name value".  At the first reading of the flags only those that are not
 * settings count, because the file comes before the settings.
 */
static bool
read_flag(Settings *all, int *at, bool settings_count, SettingsError *error)
{
	const char *flag = flags[*at];
	const char *equals = strchr(flag, '=');
	size_t length = equals != NULL ? (size_t) (equals - flag) : strlen(flag);
	const SettingDefinition *definition;
	const char *value;
	bool is_file;

	if (strcmp(flag, "--check-config") == 0)
	{
		check_only = true;
		return true;
	}
	is_file = (length == 8 && strncmp(flag, "--config", 8) == 0) || strcmp(flag, "-c") == 0;
	definition = strncmp(flag, "--", 2) == 0 ? find_definition(flag + 2, length - 2) : NULL;
	if (!is_file && definition == NULL)
		return fail(error, "unknown option \"%.100s\" (see --help)", flag);
	value = equals != NULL ? equals + 1 : flags[++*at];
	if (value == NULL)
		return fail(error, "option \"%.100s\" needs a value", flag);
	if (is_file && !settings_count)
	{
		free(file_name);
		file_name = mem_text(value);
	}
	if (is_file || !settings_count)
		return true;
	/* everybody on the machine can see the arguments of a program */
	if (definition->offset == offsetof(Settings, database) && definition->type == SETTING_TEXT &&
		setting_has_password(value))
		return fail(error,
					"a password in --database can be seen by everybody on this machine: write it "
					"in the configuration file, or in the password file of libpq");
	return set(all, definition, value, "command line", error);
}

static bool
read_flags(Settings *all, bool settings_count, SettingsError *error)
{
	bool has_listen = false;

	for (int i = 1; i < flag_count; i++)
	{
		/* addresses on the command line replace those of the file, and do not add to them */
		if (settings_count && !has_listen && strncmp(flags[i], "--listen", 8) == 0)
		{
			listen_addresses_free(all);
			has_listen = true;
		}
		if (!read_flag(all, &i, settings_count, error))
			return false;
	}
	return true;
}

static bool
set_defaults(Settings *all, SettingsError *error)
{
	for (size_t i = 0; i < DEFINITION_COUNT; i++)
		if (definitions[i].type != SETTING_LISTEN &&
			!set(all, &definitions[i], definitions[i].value, "default", error))
			return false;
	return true;
}

static bool
is_metrics_address(const char *text)
{
	char *host;
	char *port;

	if (text[0] == '\0')
		return true;
	if (!listen_address_split(text, DEFAULT_METRICS_PORT, &host, &port))
		return false;
	free(host);
	free(port);
	return true;
}

/* What only all settings together show, and what their texts must be. */
static bool
complete(Settings *all, SettingsError *error)
{
	char reason[256];

	if (all->listen_count == 0 &&
		!listen_address_add(all, definitions[0].value, reason, sizeof(reason)))
		return fail(error, "%s", reason);
	if (!listen_addresses_complete(all, reason, sizeof(reason)))
		return fail(error, "listen: %s", reason);
	if (!setting_check_conninfo(all->database, reason, sizeof(reason)))
		return fail(error, "database: %s", reason);
	if (!is_metrics_address(all->metrics))
		return fail(error, "metrics: \"%.100s\" is not 'host:port'", all->metrics);
	if ((all->tls_cert_file[0] == '\0') != (all->tls_key_file[0] == '\0'))
		return fail(error, "tls_cert_file and tls_key_file need each other");
	for (int i = 0; i < all->listen_count; i++)
		if (all->listen[i].tls && all->tls_cert_file[0] == '\0')
			return fail(error, "listen: tls=on needs tls_cert_file and tls_key_file");
	return true;
}

static bool
read_all(Settings *all, SettingsError *error)
{
	memset(all, 0, sizeof(*all));
	if (set_defaults(all, error) && (file_name == NULL || read_file(all, error)) &&
		read_flags(all, true, error) && complete(all, error))
		return true;
	settings_clear(all);
	return false;
}

bool
settings_load(int argc, char **argv, SettingsError *error)
{
	flag_count = argc;
	flags = argv;
	settings_clear(&settings);
	return read_flags(&settings, false, error) && read_all(&settings, error);
}

bool
settings_reload(SettingsError *error)
{
	Settings fresh;

	if (!read_all(&fresh, error))
		return false;
	for (size_t i = 0; i < DEFINITION_COUNT; i++)
	{
		const SettingDefinition *definition = &definitions[i];

		if (definition->type == SETTING_LISTEN || setting_equal(&settings, &fresh, definition))
			continue;
		if (definition->can_change)
			setting_swap(&settings, &fresh, definition);
		else
			log_line(LOG_WARNING, "setting %s has changed, and needs a restart", definition->name);
	}
	if (!listen_addresses_equal(&settings, &fresh))
		log_line(LOG_WARNING, "setting listen has changed, and needs a restart");
	settings_clear(&fresh);
	return true;
}

const char *
settings_file(void)
{
	return file_name;
}

bool
settings_check_only(void)
{
	return check_only;
}

void
settings_print_help(void)
{
	fputs("sierra_gateway answers SierraDB's clients from an event store in PostgreSQL.\n\n"
		  "usage: sierra_gateway [options]\n\n"
		  "  -c, --config FILE    settings, each as a line: name = 'value'\n"
		  "  --check-config       read the settings, and say whether they are right\n"
		  "  --version            print the version\n"
		  "  --help               print this\n\n"
		  "Each setting is also an option, which counts more than the file:\n\n",
		  stdout);
	for (size_t i = 0; i < DEFINITION_COUNT; i++)
		printf("  --%-18s %s%s%s%s\n", definitions[i].name, definitions[i].help,
			   definitions[i].value[0] != '\0' ? " (default " : "", definitions[i].value,
			   definitions[i].value[0] != '\0' ? ")" : "");
}
