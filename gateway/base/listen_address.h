/*
 * listen_address.h
 *		The values of the setting listen.
 */
#ifndef BASE_LISTEN_ADDRESS_H
#define BASE_LISTEN_ADDRESS_H

#include "base/settings.h"

/*
 * Splits "host:port", "[host]:port", "port" or "host"; a missing port is default_port.
 * The texts are allocated, and only if it returns true.
 */
extern bool listen_address_split(const char *text, const char *default_port, char **host,
								 char **port);
/* Adds "host:port name=value ..." to the addresses. */
extern bool listen_address_add(Settings *all, const char *value, char *reason, size_t size);
/* Gives addresses without options what dialect and esub_reply say. */
extern bool listen_addresses_complete(Settings *all, char *reason, size_t size);
extern bool listen_addresses_equal(const Settings *a, const Settings *b);
extern void listen_addresses_free(Settings *all);

#endif /* BASE_LISTEN_ADDRESS_H */
