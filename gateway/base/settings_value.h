/*
 * settings_value.h
 *		One setting: its definition, and how its value is read.
 */
#ifndef BASE_SETTINGS_VALUE_H
#define BASE_SETTINGS_VALUE_H

#include "base/settings.h"

typedef enum SettingType
{
	SETTING_TEXT,
	SETTING_BOOL,
	SETTING_INT,
	SETTING_SIZE,	/* bytes, with kB, MB or GB; int64_t */
	SETTING_TIME,	/* milliseconds, with ms, s or min; int */
	SETTING_CHOICE, /* an enum: the number of the word */
	SETTING_LISTEN
} SettingType;

typedef struct SettingDefinition
{
	const char *name;
	SettingType type;
	/* of the field in Settings */
	size_t offset;
	int64_t low;
	int64_t high;
	const char *const *words;
	/* the default */
	const char *value;
	bool can_change;
	const char *help;
} SettingDefinition;

/* Sets the field of all; false with a reason if value is not one of this setting. */
extern bool setting_parse(Settings *all, const SettingDefinition *definition, const char *value,
						  char *reason, size_t size);
extern bool setting_equal(const Settings *a, const Settings *b,
						  const SettingDefinition *definition);
extern void setting_swap(Settings *a, Settings *b, const SettingDefinition *definition);
/* "on", "off" and their like. */
extern bool setting_parse_bool(const char *value, bool *result);
/* The index of value in words, which end with NULL; -1 if it is not there. */
extern int setting_find_word(const char *value, const char *const *words);
/* Does a connection string have a password? */
/* Can libpq read it? */
extern bool setting_check_conninfo(const char *conninfo, char *reason, size_t size);
extern bool setting_has_password(const char *conninfo);
/*
 * Splits a line of a file in place: *name is NULL if it has only blanks and a comment.  The
 * syntax is that of postgresql.conf: name = value, name value, '...' with '' for a quote.
 */
extern bool setting_split_line(char *line, char **name, size_t *name_length, char **value);

#endif /* BASE_SETTINGS_VALUE_H */
