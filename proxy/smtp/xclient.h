/*
 * xclient - the argument of XCLIENT: attributes by which a proxy that is trusted says for whom it
 * speaks (Postfix's XCLIENT_README; TTL is Dovecot's; W105, W107). Values are xtext; [UNAVAILABLE]
 * and [TEMPUNAVAIL] stand for what is not known.
 */
#ifndef PROXY_SMTP_XCLIENT_H
#define PROXY_SMTP_XCLIENT_H

#include "weir/net.h"

#define XCLIENT_ATTRIBUTES "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT REVERSE_NAME TTL"
#define XCLIENT_TEXT_MAX   256

/* What was said of an attribute. */
enum xclient_said {
	XCLIENT_NOTHING,
	XCLIENT_VALUE,
	XCLIENT_UNAVAILABLE, /* there is none */
	XCLIENT_TEMPUNAVAIL, /* it could not be found out */
};

struct xclient_text {
	enum xclient_said said;
	char text[XCLIENT_TEXT_MAX]; /* "" but for XCLIENT_VALUE */
};
struct xclient_address {
	enum xclient_said said;
	struct address address; /* AF_UNSPEC but for XCLIENT_VALUE */
};
struct xclient_number {
	enum xclient_said said;
	uint64_t number; /* 0 but for XCLIENT_VALUE */
};

struct xclient {
	struct xclient_text name, reverse_name, proto, helo, login;
	struct xclient_address addr, dest_addr;
	struct xclient_number port, dest_port, ttl;
};

/* 0, or -1 with *e, the text of a 501 reply, and *x untouched. An attribute that is not known is an
 * error: only those that EHLO names may be sent. The last of several counts. */
int xclient_parse(struct slice argument, struct xclient *x, struct err *e);

#endif
