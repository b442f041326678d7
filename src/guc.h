/*
 * guc.h
 *		The extension's settings.
 */
#ifndef SIERRA_GUC_H
#define SIERRA_GUC_H

/* sierra_es.store: the store that calls use; never NULL */
extern char *sierra_guc_store;

/* sierra_es.strict_versioning: refuse the expected versions any and exists */
extern bool sierra_guc_strict_versioning;

/* sierra_es.restore: let the owner COPY or INSERT rows of a dump */
extern bool sierra_guc_restore;

extern void sierra_guc_define(void);

#endif /* SIERRA_GUC_H */
