/*
 * extension.h
 *		Objects of the extension that C code needs: its types and functions.
 *
 * What users call is in the schema that they chose for the extension, and
 * everything else in schema sierra_internal.  Only objects that belong to the
 * extension are found, never others of the same name.
 */
#ifndef SIERRA_EXTENSION_H
#define SIERRA_EXTENSION_H

#include "access/tupdesc.h"

/* The schema of functions that users do not call. */
#define SIERRA_INTERNAL "sierra_internal"

/* Is the extension created in this database?  In a transaction. */
extern bool sierra_extension_exists(void);

/* The type sierra_event. */
extern Oid sierra_extension_event_type(void);

/* Its row type, copied into the current context; checked as below. */
extern TupleDesc sierra_extension_event_desc(void);

/* A type in sierra_internal; raises 42704 if there is none of this name. */
extern Oid sierra_extension_type(const char *name);

/*
 * Raises 42804 unless a row type of the extension has this many columns, none of
 * them dropped: a superuser may have altered it.
 */
extern void sierra_extension_check_desc(TupleDesc desc, int columns);

/* A function that belongs to an extension; InvalidOid if there is none in this schema. */
extern Oid sierra_extension_function_in(const char *extension_name, const char *schema_name,
										const char *name, int nargs, const Oid *arguments);

/* A function in sierra_internal; InvalidOid if there is none with this name and arguments. */
extern Oid sierra_extension_find_function(const char *name, int nargs, const Oid *arguments);

/* The same; raises 42883 if there is none. */
extern Oid sierra_extension_function(const char *name, int nargs, const Oid *arguments);

/* The trigger function that guards the tables of stores; InvalidOid without the extension. */
extern Oid sierra_extension_guard(void);

#endif /* SIERRA_EXTENSION_H */
