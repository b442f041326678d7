#include "store/statement.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void
parameters_free(StoreParameters *parameters)
{
	free(parameters->data);
	memset(parameters, 0, sizeof(*parameters));
}

static void
add(StoreParameters *parameters, const void *bytes, size_t length)
{
	size_t need = parameters->used + length;

	if (need > parameters->allocated)
	{
		size_t size = 2 * parameters->allocated;

		parameters->allocated = need > size ? need : size;
		if (parameters->allocated < 128)
			parameters->allocated = 128;
		parameters->data = mem_resize(parameters->data, parameters->allocated);
	}
	if (length > 0)
		memcpy(parameters->data + parameters->used, bytes, length);
	parameters->used = need;
}

static void
add_int4(StoreParameters *parameters, int32_t value)
{
	uint32_t big_endian = htonl((uint32_t) value);

	add(parameters, &big_endian, sizeof(big_endian));
}

static void
add_int8(StoreParameters *parameters, int64_t value)
{
	uint64_t big_endian = htobe64((uint64_t) value);

	add(parameters, &big_endian, sizeof(big_endian));
}

static void
begin(StoreParameters *parameters)
{
	if (parameters->count == STORE_MAX_PARAMETERS)
		abort();
	parameters->offsets[parameters->count] = parameters->used;
}

static void
end(StoreParameters *parameters)
{
	parameters->lengths[parameters->count] =
		(int) (parameters->used - parameters->offsets[parameters->count]);
	parameters->count++;
}

void
parameter_null(StoreParameters *parameters)
{
	begin(parameters);
	parameters->lengths[parameters->count++] = -1;
}

void
parameter_int4(StoreParameters *parameters, int32_t value)
{
	begin(parameters);
	add_int4(parameters, value);
	end(parameters);
}

void
parameter_int8(StoreParameters *parameters, int64_t value)
{
	begin(parameters);
	add_int8(parameters, value);
	end(parameters);
}

void
parameter_bool(StoreParameters *parameters, bool value)
{
	char byte = value;

	parameter_bytes(parameters, &byte, 1);
}

void
parameter_uuid(StoreParameters *parameters, const Uuid *uuid)
{
	parameter_bytes(parameters, uuid->bytes, sizeof(uuid->bytes));
}

void
parameter_bytes(StoreParameters *parameters, const void *bytes, size_t length)
{
	begin(parameters);
	add(parameters, bytes, length);
	end(parameters);
}

void
parameter_text(StoreParameters *parameters, const char *text)
{
	parameter_bytes(parameters, text, strlen(text));
}

void
parameter_array_begin(StoreParameters *parameters, uint32_t element_type, int count)
{
	begin(parameters);
	/* dimensions, whether there are NULLs (which the server finds out itself), type of the elements
	 */
	add_int4(parameters, count > 0 ? 1 : 0);
	add_int4(parameters, 1);
	add_int4(parameters, (int32_t) element_type);
	if (count > 0)
	{
		add_int4(parameters, count);
		add_int4(parameters, 1);
	}
}

void
parameter_array_add(StoreParameters *parameters, const void *bytes, size_t length)
{
	add_int4(parameters, (int32_t) length);
	add(parameters, bytes, length);
}

void
parameter_array_add_null(StoreParameters *parameters)
{
	add_int4(parameters, -1);
}

void
parameter_array_add_int4(StoreParameters *parameters, int32_t value)
{
	add_int4(parameters, sizeof(value));
	add_int4(parameters, value);
}

void
parameter_array_add_int8(StoreParameters *parameters, int64_t value)
{
	add_int4(parameters, sizeof(value));
	add_int8(parameters, value);
}

void
parameter_array_end(StoreParameters *parameters)
{
	end(parameters);
}
