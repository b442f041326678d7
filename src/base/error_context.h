/*
 * error_context.h
 *		Keeps the extension's own functions out of the context of errors.
 */
#ifndef SIERRA_ERROR_CONTEXT_H
#define SIERRA_ERROR_CONTEXT_H

/* Installs the hook; called once per process, by _PG_init. */
extern void sierra_error_context_install(void);

#endif /* SIERRA_ERROR_CONTEXT_H */
