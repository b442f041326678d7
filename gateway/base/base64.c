#include "base/base64.h"

#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(const void *bytes, size_t length, char *to)
{
	const uint8_t *from = bytes;

	for (size_t i = 0; i < length; i += 3)
	{
		size_t left = length - i;
		uint32_t group = (uint32_t) from[i] << 16;

		if (left > 1)
			group |= (uint32_t) from[i + 1] << 8;
		if (left > 2)
			group |= from[i + 2];
		*to++ = digits[group >> 18];
		*to++ = digits[group >> 12 & 63];
		*to++ = left > 1 ? digits[group >> 6 & 63] : '=';
		*to++ = left > 2 ? digits[group & 63] : '=';
	}
}

static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool
base64_decode(const char *text, size_t length, char *to, size_t *decoded)
{
	size_t padding = 0;

	if (length % 4 != 0)
		return false;
	while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
		padding++;
	*decoded = length / 4 * 3 - padding;
	for (size_t i = 0; i < length; i += 4)
	{
		size_t bytes = i + 4 == length ? 3 - padding : 3;
		uint32_t group = 0;

		for (size_t j = 0; j < 4; j++)
		{
			int value = j > bytes ? 0 : value_of(text[i + j]);

			if (value < 0)
				return false;
			group = group << 6 | (uint32_t) value;
		}
		/* bits that encode nothing are 0 */
		if ((bytes == 1 && (group & 0xffff) != 0) || (bytes == 2 && (group & 0xff) != 0))
			return false;
		for (size_t j = 0; j < bytes; j++)
			*to++ = (char) (group >> (16 - 8 * j));
	}
	return true;
}
