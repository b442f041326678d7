/*
 * systemd.h
 *		Sockets from systemd, and messages to it.  Nothing happens without systemd.
 */
#ifndef SERVER_SYSTEMD_H
#define SERVER_SYSTEMD_H

#define SYSTEMD_FIRST_SOCKET 3

/* How many sockets systemd has opened for this program; the first is SYSTEMD_FIRST_SOCKET. */
extern int systemd_sockets(void);
/* Such as "READY=1". */
extern void systemd_notify(const char *state);

#endif /* SERVER_SYSTEMD_H */
