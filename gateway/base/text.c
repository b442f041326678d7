#include "base/text.h"

#include <string.h>

bool
text_to_uint64(const char *text, size_t length, uint64_t *value)
{
	uint64_t result = 0;
	size_t at = (length > 0 && text[0] == '+') ? 1 : 0;

	if (at == length)
		return false;
	for (; at < length; at++)
	{
		unsigned digit = (unsigned char) text[at] - '0';

		if (digit > 9 || result > (UINT64_MAX - digit) / 10)
			return false;
		result = result * 10 + digit;
	}
	*value = result;
	return true;
}

bool
text_to_number(const char *text, size_t length, int64_t *value)
{
	uint64_t number;

	if (!text_to_uint64(text, length, &number) || number > INT64_MAX)
		return false;
	*value = (int64_t) number;
	return true;
}

/* The number of digits of a value below 10^20. */
static size_t
count_digits(uint64_t value)
{
	size_t count = 1;

	for (; value >= 10000; value /= 10000)
		count += 4;
	return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* Two digits are written at once, the last ones first. */
size_t
text_of_int64(int64_t value, char *text)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324"
								"25262728293031323334353637383940414243444546474849"
								"50515253545556575859606162636465666768697071727374"
								"75767778798081828384858687888990919293949596979899";
	uint64_t left = value < 0 ? 0 - (uint64_t) value : (uint64_t) value;
	size_t length = count_digits(left) + (value < 0);
	char *at = text + length;

	*at = '\0';
	for (; left >= 100; left /= 100)
		memcpy(at -= 2, pairs + 2 * (left % 100), 2);
	if (left >= 10)
		memcpy(at - 2, pairs + 2 * left, 2);
	else
		at[-1] = '0' + left;
	if (value < 0)
		text[0] = '-';
	return length;
}

bool
text_is_word(const char *text, size_t length, const char *word)
{
	for (size_t i = 0; i < length; i++)
	{
		char c = text[i];

		if (c >= 'a' && c <= 'z')
			c -= 'a' - 'A';
		/* also ends at the end of word: no text has a zero byte that matches it */
		if (c != word[i] || c == '\0')
			return false;
	}
	return word[length] == '\0';
}

/* The length of the character at text, 0 if it is not UTF-8. */
static size_t
utf8_length(const unsigned char *text, size_t length)
{
	unsigned char first = text[0];
	unsigned char low = 0x80;
	unsigned char high = 0xbf;
	size_t size;

	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		size = 2;
	else if (first >= 0xe0 && first <= 0xef)
		size = 3;
	else if (first >= 0xf0 && first <= 0xf4)
		size = 4;
	else
		return 0;
	if (length < size)
		return 0;

	/* the second byte of these is bounded: overlong forms, surrogates, above U+10FFFF */
	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	if (text[1] < low || text[1] > high)
		return 0;
	for (size_t i = 2; i < size; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return size;
}

/* Are the next 8 bytes ASCII, as nearly always? */
static bool
is_ascii(const unsigned char *text)
{
	uint64_t bytes;

	memcpy(&bytes, text, sizeof(bytes));
	return (bytes & UINT64_C(0x8080808080808080)) == 0;
}

bool
text_is_utf8(const char *text, size_t length)
{
	const unsigned char *at = (const unsigned char *) text;
	const unsigned char *end = at + length;

	while (at < end)
	{
		size_t size = end - at >= 8 && is_ascii(at) ? 8 : utf8_length(at, end - at);

		if (size == 0)
			return false;
		at += size;
	}
	return true;
}

bool
text_has_control(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char) text[i] < 32 || text[i] == 127)
			return true;
	return false;
}

bool
text_equal_secret(const char *a, const char *b)
{
	size_t length_a = strlen(a);
	size_t length_b = strlen(b);
	unsigned char differs = length_a != length_b;

	for (size_t i = 0; i < length_a; i++)
		differs |= (unsigned char) (a[i] ^ b[length_b > 0 ? i % length_b : 0]);
	return differs == 0;
}

/* Is a character of ASCII or of U+0080 to U+009F, to which terminals listen, too? */
static bool
is_control(const char *text, size_t step)
{
	if (step == 1)
		return text_has_control(text, 1);
	return step == 2 && (unsigned char) text[0] == 0xc2 && (unsigned char) text[1] < 0xa0;
}

char *
text_printable(const char *text, size_t length, char *to, size_t size)
{
	size_t used = 0;
	size_t at = 0;

	while (at < length)
	{
		size_t step = utf8_length((const unsigned char *) text + at, length - at);

		if (used + (step > 0 ? step : 1) + 4 > size)
		{
			memcpy(to + used, "...", 3);
			used += 3;
			break;
		}
		if (step == 0 || is_control(text + at, step))
		{
			to[used++] = '?';
			at += step > 0 ? step : 1;
		}
		else
		{
			memcpy(to + used, text + at, step);
			used += step;
			at += step;
		}
	}
	to[used] = '\0';
	return to;
}
