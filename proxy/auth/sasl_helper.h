/*
 * sasl_helper - a process that checks logins, one step at a time: it may block, for that is what
 * it is there for. Asked and answering over one socket, in the lines of the Dovecot protocol: MECH
 * .. DONE when it is ready, then AUTH, CONT and CANCEL one way, CONT, OK and FAIL the other;
 * numbers are unique for its whole life.
 * Threads    one.
 */
#ifndef PROXY_AUTH_SASL_HELPER_H
#define PROXY_AUTH_SASL_HELPER_H

#include "weir/settings.h"

/* Serve until the other side closes; returns the exit status. */
int sasl_helper_run(const struct proxy_settings *settings, int fd);

#endif
