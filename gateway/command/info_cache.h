/*
 * info_cache.h
 *		INFO CACHE: how often PostgreSQL found blocks in its cache.
 */
#ifndef COMMAND_INFO_CACHE_H
#define COMMAND_INFO_CACHE_H

#include "client/client.h"

extern void run_info_cache(Call *call);

#endif /* COMMAND_INFO_CACHE_H */
