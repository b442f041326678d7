/*
 * test_settings.c
 *		Flags, lines of the file, and addresses.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/listen_address.h"
#include "base/settings_value.h"
#include "test/tap.h"

static void
split(const char *line, const char *name, const char *value)
{
	char copy[200];
	char *found_name;
	char *found_value;
	size_t length;
	bool good;

	snprintf(copy, sizeof(copy), "%s", line);
	good = setting_split_line(copy, &found_name, &length, &found_value);
	if (name == NULL)
		tap_ok(!good, "refused: %s", line);
	else if (name[0] == '\0')
		tap_ok(good && found_name == NULL, "nothing in: '%s'", line);
	else
		tap_ok(good && strlen(name) == length && strncmp(found_name, name, length) == 0 &&
				   strcmp(found_value, value) == 0,
			   "a line: %s", line);
}

static void
test_lines(void)
{
	split("", "", NULL);
	split("  # nothing", "", NULL);
	split("a = 1", "a", "1");
	split("a=1 # one", "a", "1");
	split("a 1\n", "a", "1");
	split("a = 'it''s # in' # not", "a", "it's # in");
	split("a = ''", "a", "");
	split("a", NULL, NULL);
	split("a =", NULL, NULL);
	split("a = 'b", NULL, NULL);
	split("a = b c", NULL, NULL);
	split("= b", NULL, NULL);
	split("a = 'b' c", NULL, NULL);
}

static void
address(const char *text, const char *host, const char *port)
{
	char *found_host;
	char *found_port;
	bool good = listen_address_split(text, "9090", &found_host, &found_port);

	if (host == NULL)
	{
		tap_ok(!good, "not an address: %s", text);
		return;
	}
	tap_ok(good && strcmp(found_host, host) == 0 && strcmp(found_port, port) == 0, "an address: %s",
		   text);
	free(found_host);
	free(found_port);
}

static void
test_addresses(void)
{
	address("127.0.0.1:1", "127.0.0.1", "1");
	address("localhost", "localhost", "9090");
	address("[::1]:77", "::1", "77");
	address("[::1]", "::1", "9090");
	address("7000", "127.0.0.1", "7000");
	address(":7000", "127.0.0.1", "7000");
	address("*:7000", "*", "7000");
	address("a:70000", NULL, NULL);
	address("a:b", NULL, NULL);
	address("[::1", NULL, NULL);
	address("[::1]x", NULL, NULL);
}

static bool
load(char **flags, int count, SettingsError *error)
{
	error->text[0] = '\0';
	return settings_load(count, flags, error);
}

static void
test_flags(void)
{
	char *good[] = {"x",
					"--listen",
					"1 dialect=tutorial esub_reply=batch",
					"--max-clients=5",
					"--retry_time",
					"2min",
					"--batch_size=1MB"};
	char *unknown[] = {"x", "--no-such", "1"};
	char *range[] = {"x", "--readers", "0"};
	char *missing[] = {"x", "--readers", NULL};
	char *password[] = {"x", "--database", "host=a password=b"};
	char *twice[] = {"x", "--listen", "1", "--listen", "1"};
	char *tls[] = {"x", "--listen", "1 tls=on"};
	char *port[] = {"x", "--listen", "127.0.0.1:99999"};
	char *option[] = {"x", "--database", "no_such=1"};
	char *quote[] = {"x", "--database", "dbname='pass"};
	char *metrics[] = {"x", "--metrics", "127.0.0.1:http"};
	SettingsError error;

	tap_ok(load(good, 7, &error), "flags: %s", error.text);
	tap_ok(settings.listen_count == 1 && settings.listen[0].dialect == DIALECT_TUTORIAL &&
			   settings.listen[0].esub_reply == ESUB_REPLY_BATCH,
		   "options of an address");
	tap_ok(settings.max_clients == 5 && settings.retry_time == 120000 &&
			   settings.batch_size == 1 << 20,
		   "numbers with units");
	tap_ok(settings.readers == 2 && settings.writers == 2 && !settings.strict_versioning,
		   "defaults");
	tap_ok(!load(unknown, 3, &error) && strstr(error.text, "unknown option"), "an unknown flag: %s",
		   error.text);
	tap_ok(!load(range, 3, &error) && strstr(error.text, "outside of the range"),
		   "a number that is too small: %s", error.text);
	tap_ok(!load(missing, 2, &error) && strstr(error.text, "needs a value"),
		   "a flag without a value: %s", error.text);
	tap_ok(!load(password, 3, &error) && strstr(error.text, "can be seen"),
		   "a password as a flag: %s", error.text);
	tap_ok(!load(twice, 5, &error) && strstr(error.text, "twice"), "an address twice: %s",
		   error.text);
	tap_ok(!load(tls, 3, &error) && strstr(error.text, "tls_cert_file"),
		   "TLS without a certificate: %s", error.text);
	tap_ok(!load(port, 3, &error) && strstr(error.text, "is not 'host:port'"), "a port: %s",
		   error.text);
	tap_ok(!load(option, 3, &error) && strstr(error.text, "\"no_such\""),
		   "an option of the connection string: %s", error.text);
	tap_ok(!load(quote, 3, &error) && !strstr(error.text, "pass"),
		   "nothing else of the connection string is repeated: %s", error.text);
	tap_ok(!load(metrics, 3, &error) && strstr(error.text, "metrics"), "address of /metrics: %s",
		   error.text);
}

static void
test_file(void)
{
	char name[] = "/tmp/sierra_gateway_unit_XXXXXX";
	int fd = mkstemp(name);
	char *flags[] = {"x", "-c", name, "--readers", "3"};
	SettingsError error;
	FILE *file = fdopen(fd, "w");

	fputs("readers = 7\nwriters = 9\nlisten = '127.0.0.1:1'\nlisten = '127.0.0.1:2'\nmax_clients = "
		  "11\n",
		  file);
	fflush(file);
	tap_ok(load(flags, 5, &error), "a file: %s", error.text);
	tap_ok(settings.readers == 3 && settings.writers == 9 && settings.listen_count == 2,
		   "flags count more than the file");
	rewind(file);
	fputs("readers = 7\nwriters = 5\nlisten = '127.0.0.1:1'\nlisten = '127.0.0.1:2'\nmax_clients = "
		  "12\n",
		  file);
	fflush(file);
	tap_ok(settings_reload(&error) && settings.max_clients == 12 && settings.writers == 9,
		   "a new reading takes over what can change, and nothing else");
	fputs("max_clients = many\n", file);
	fclose(file);
	tap_ok(!settings_reload(&error) && strstr(error.text, "line 6") && settings.max_clients == 12,
		   "after an error nothing has changed: %s", error.text);
	unlink(name);
}

void
test_settings(void)
{
	log_configure(LOG_ERROR, 0);
	test_lines();
	test_addresses();
	test_flags();
	test_file();
}
