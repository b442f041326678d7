/*
 * partition_parameters.h
 *		A partition of a client, as parameters of SQL functions.
 */
#ifndef COMMAND_PARTITION_PARAMETERS_H
#define COMMAND_PARTITION_PARAMETERS_H

#include "client/client.h"
#include "command/arguments.h"

/* Has the store this partition?  A key always has one. */
extern bool partition_is_there(const Call *call, const PartitionArgument *partition);
/* Adds an id and a key, of which one is NULL. */
extern void partition_parameters(const PartitionArgument *partition, StoreParameters *parameters);

#endif /* COMMAND_PARTITION_PARAMETERS_H */
