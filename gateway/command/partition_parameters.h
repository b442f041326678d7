/*
 * partition_parameters.h
 *		A partition of a client, as parameters of SQL functions.
 */
#ifndef COMMAND_PARTITION_PARAMETERS_H
#define COMMAND_PARTITION_PARAMETERS_H

#include "client/client.h"
#include "command/arguments.h"

/* Adds an id and a key, of which one is NULL.  False if the store has not this partition. */
extern bool partition_parameters(Call *call, const PartitionArgument *partition,
								 StoreParameters *parameters);

#endif /* COMMAND_PARTITION_PARAMETERS_H */
