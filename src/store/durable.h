/*
 * durable.h
 *		Makes what other transactions have committed as durable as this session wants.
 */
#ifndef SIERRA_DURABLE_H
#define SIERRA_DURABLE_H

/*
 * Called before a client is told that something is stored already: another
 * transaction may have committed it with synchronous_commit = off.  Returns when
 * all that is committed by now is as durable as synchronous_commit of this session
 * says; at once if that is off.
 */
extern void sierra_make_durable(void);

#endif /* SIERRA_DURABLE_H */
