/*
 * settings.h
 *		What the configuration file and the flags say.
 *
 * The one list of settings is in settings.c: reading the file, flags, --help and the test of
 * the documents follow from it.
 */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

typedef enum Dialect
{
	DIALECT_SIERRADB, /* as the server of SierraDB answers */
	DIALECT_TUTORIAL  /* bare numbers, counted from 1 */
} Dialect;

typedef enum EsubReply
{
	ESUB_REPLY_ID,	 /* the id of a subscription, events as pushes */
	ESUB_REPLY_BATCH /* the next events themselves, and no subscription */
} EsubReply;

/* An address to listen on, with what its clients begin with. */
typedef struct ListenAddress
{
	char *host;
	char *port;
	Dialect dialect;
	EsubReply esub_reply;
	bool tls;
} ListenAddress;

/* Of the setting metrics, if it is a host alone. */
#define DEFAULT_METRICS_PORT "9091"

typedef struct Settings
{
	ListenAddress *listen;
	int listen_count;
	char *database;
	char *store;
	Dialect dialect;
	EsubReply esub_reply;
	/* events that may be out without EACK; 0: any number */
	int default_window;
	bool strict_versioning;
	bool require_auth;
	int writers;
	int readers;
	/* events and bytes that are committed together */
	int batch_events;
	int64_t batch_size;
	/* milliseconds */
	int retry_time;
	int role_idle_time;
	int slow_time;
	int drain_time;
	int stall_time;
	int max_clients;
	int max_roles;
	int64_t max_frame_size;
	int max_words;
	int64_t output_limit;
	int64_t ring_size;
	char *tls_cert_file;
	char *tls_key_file;
	char *tls_ca_file;
	char *metrics;
	LogLevel log_level;
} Settings;

extern Settings settings;

typedef struct SettingsError
{
	char text[512];
} SettingsError;

/*
 * Reads flags and the file that they name into settings.  False with the text of the error.
 * What flags say counts more than what the file says.
 */
extern bool settings_load(int argc, char **argv, SettingsError *error);
/*
 * Reads the file again; takes over what can change while the program runs, and logs what
 * cannot.  After an error nothing has changed.
 */
extern bool settings_reload(SettingsError *error);
/* The file that was read, or NULL. */
extern const char *settings_file(void);
extern bool settings_check_only(void);
extern void settings_print_help(void);

#endif /* BASE_SETTINGS_H */
