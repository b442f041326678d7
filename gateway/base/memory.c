#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
checked(void *memory)
{
	if (memory == NULL)
	{
		fputs("sierra_gateway: out of memory\n", stderr);
		abort();
	}
	return memory;
}

void *
mem_alloc(size_t size)
{
	return checked(malloc(size > 0 ? size : 1));
}

void *
mem_zero(size_t size)
{
	return checked(calloc(1, size > 0 ? size : 1));
}

void *
mem_resize(void *memory, size_t size)
{
	return checked(realloc(memory, size > 0 ? size : 1));
}

char *
mem_copy(const void *bytes, size_t size)
{
	char *copy = mem_alloc(size + 1);

	if (size > 0)
		memcpy(copy, bytes, size);
	copy[size] = '\0';
	return copy;
}

char *
mem_text(const char *text)
{
	return mem_copy(text, strlen(text));
}

void
mem_free_secret(char *text)
{
	if (text == NULL)
		return;
	explicit_bzero(text, strlen(text));
	free(text);
}
