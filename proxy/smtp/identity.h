/*
 * identity - who the client is: his address, what holds for it, his name, and what somebody in
 * front of us told of him.
 * Threads    the worker's loop.
 */
#ifndef PROXY_SMTP_IDENTITY_H
#define PROXY_SMTP_IDENTITY_H

#include "proxy/listen/client_name.h"
#include "proxy/smtp/session.h"

/* The session is this client's from now on: policies by network, and his name is being looked up.
 */
void identity_begin(struct session *s, const struct address *client);
/* He is told to be somebody else: what was known of his name is void. */
void identity_forget(struct session *s);
/* Run go(s) once the name is settled: now, or later, and until then the session is busy. go may ask
 * somebody and leave it busy. */
void identity_await(struct session *s, void (*go)(struct session *s));
/* The verified name, or NULL. */
const char *identity_name(const struct session *s);
/* Where the client connected to, as he sees it; AF_UNSPEC: not known. */
struct address identity_server(const struct session *s);
/* The session's relay, made where there is none yet: backends may be told through it who the client
 * is. NULL without memory. */
struct relay *identity_relay(struct session *s);
/* Macros of the connection that say who the client is. */
void identity_macros(struct session *s);

#endif
