/*
 * login.h
 *		AUTH, alone and within HELLO.
 */
#ifndef COMMAND_LOGIN_H
#define COMMAND_LOGIN_H

#include "client/client.h"

/*
 * Asks PostgreSQL, and calls then() when the client has logged in; otherwise answers the call with
 * the error.
 */
extern void login(Call *call, const Word *user, const Word *password, void (*then)(Call *call));

#endif /* COMMAND_LOGIN_H */
