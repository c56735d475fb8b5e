#include "config.h"

#include "opening.h"

#include "backend_tls.h"
#include "proxy/auth/mechanism.h"
#include "weir/log.h"

/* ---- abilities ---------------------------------------------------------------------------- */

static const struct {
	struct slice keyword;
	unsigned bits; /* enum extension */
} extensions[] = {
	{ SLICE("PIPELINING"), EXTENSION_PIPELINING },
	{ SLICE("SIZE"), EXTENSION_SIZE },
	{ SLICE("8BITMIME"), EXTENSION_8BITMIME },
	{ SLICE("DSN"), EXTENSION_DSN },
	{ SLICE("SMTPUTF8"), EXTENSION_SMTPUTF8 },
	{ SLICE("ENHANCEDSTATUSCODES"), EXTENSION_ENHANCED },
	{ SLICE("CHUNKING"), EXTENSION_CHUNKING },
	{ SLICE("STARTTLS"), EXTENSION_STARTTLS },
	{ SLICE("REQUIRETLS"), EXTENSION_REQUIRETLS },
	{ SLICE("AUTH"), EXTENSION_AUTH | EXTENSION_AUTH_TRUST },
	{ SLICE("MT-PRIORITY"), EXTENSION_MT_PRIORITY },
};

static void learn(struct abilities *a, struct slice text)
{
	(void)slice_cut(&text, '\n'); /* the first line greets */
	while (text.n > 0) {
		struct slice line = slice_cut(&text, '\n');
		struct slice keyword = slice_cut(&line, ' ');

		for (size_t i = 0; i < COUNT(extensions); i++)
			if (slice_ieq(keyword, extensions[i].keyword))
				a->extensions |= extensions[i].bits;
		if (slice_ieq(keyword, SLICE("SIZE")))
			(void)slice_number(slice_trim(line), UINT64_MAX / 2, &a->size);
		if (slice_ieq(keyword, SLICE("AUTH")))
			a->mechanisms |= mechanisms_read(line);
		if (slice_ieq(keyword, SLICE("XCLIENT")))
			a->xclient |= introduction_attributes(INTRODUCTION_XCLIENT, line);
		if (slice_ieq(keyword, SLICE("XFORWARD")))
			a->xforward |= introduction_attributes(INTRODUCTION_XFORWARD, line);
	}
	/* Nobody can promise it on a link to he knows not whom (RFC 8689 4.2.1). */
	if (a->tls != LINK_VERIFIED)
		a->extensions &= ~(unsigned)EXTENSION_REQUIRETLS;
}

/* ---- who it is for ------------------------------------------------------------------------ */

static const char *method_name(const struct opening *o)
{
	return o->route->settings->identity == IDENTITY_XCLIENT ? "XCLIENT" : "XFORWARD";
}

static bool method_missing(const struct opening *o)
{
	int method = o->route->settings->identity;

	return (method == IDENTITY_XCLIENT && o->abilities.xclient == 0) ||
	    (method == IDENTITY_XFORWARD && o->abilities.xforward == 0);
}

/* One line for each server, not for each connection. False where we cannot go on without it. */
static bool go_without(struct opening *o, const char *why)
{
	if (o->route->settings->identity_required)
		return false;
	log_event(o->server->unintroduced ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "backend_identity",
	    "backend", o->route->name, "server", o->server->text, "method", method_name(o), "error",
	    why, "what", "goes on without", NULL);
	o->server->unintroduced = true;
	return true;
}

static enum opening_step say_hello(
    struct opening *o, enum opening_state state, const struct introduction *who, struct bytes *out)
{
	const char *name = o->route->upstream->settings->hostname;

	o->state = state;
	if (o->introducing && who != NULL && who->helo != NULL)
		name = who->helo; /* the session is his now */
	(void)bytes_add(out, state == OPENING_HELO ? SLICE("HELO ") : SLICE("EHLO "));
	(void)bytes_add(out, slice_z(name));
	(void)bytes_add(out, SLICE("\r\n"));
	return OPENING_WAITS;
}

/* Say who it is for, where that is due. */
static enum opening_step introduce(
    struct opening *o, const struct introduction *who, struct bytes *out)
{
	struct bytes text = { 0 };
	size_t count;

	if (o->route->settings->identity != IDENTITY_XCLIENT || who == NULL || o->own.xclient == 0)
		return OPENING_DONE;
	count = introduction_write(INTRODUCTION_XCLIENT, o->own.xclient, who, &text);
	if (slice_eq(bytes_slice(&text), bytes_slice(&o->said))) {
		bytes_free(&text);
		return OPENING_DONE;
	}
	if (o->abilities.xclient == 0) {
		bytes_free(&text);
		return OPENING_FAILED;
	}
	o->again = o->said.n > 0;
	bytes_free(&o->said);
	o->said = text;
	o->due = count;
	o->state = OPENING_XCLIENT;
	(void)bytes_add(out, bytes_slice(&text));
	return OPENING_WAITS;
}

enum opening_step opening_introduce(
    struct opening *o, const struct introduction *who, struct bytes *out)
{
	return introduce(o, who, out);
}

/* ---- replies ------------------------------------------------------------------------------ */

static enum opening_step fail(const struct smtp_reply *r, struct err *e)
{
	char text[256] = "";
	struct buf line = BUF_ON(text);

	smtp_reply_line(r, &line);
	err_set(e, "%s", text[0] != '\0' ? text : "refused");
	return OPENING_FAILED;
}

/* The link is as it shall be. */
static enum opening_step linked(
    struct opening *o, const struct introduction *who, struct bytes *out, struct err *e)
{
	if (o->introducing) {
		o->introducing = false;
		return OPENING_DONE;
	}
	o->own = o->abilities;
	if (method_missing(o) && !go_without(o, "not offered")) {
		err_set(e, "%s is not offered", method_name(o));
		return OPENING_FAILED;
	}
	return introduce(o, who, out);
}

/* The reply to EHLO or HELO was good. */
static enum opening_step greeted(
    struct opening *o, const struct introduction *who, struct bytes *out, struct err *e)
{
	switch (backend_tls_next(o->route, &o->abilities, o->clear)) {
	case BACKEND_TLS_GO_ON:
		break;
	case BACKEND_TLS_MISSING:
		err_set(e, "STARTTLS is not offered");
		return OPENING_FAILED;
	case BACKEND_TLS_ASK:
		o->state = OPENING_STARTTLS;
		(void)bytes_add(out, SLICE("STARTTLS\r\n"));
		return OPENING_WAITS;
	}
	return linked(o, who, out, e);
}

static enum opening_step on_starttls(struct opening *o, const struct smtp_reply *r, bool more,
    const struct introduction *who, struct bytes *out, struct err *e)
{
	if (r->code == 220 && more)
		err_set(e, "octets in the clear behind the reply to STARTTLS"); /* W25 */
	else if (r->code == 220)
		return OPENING_SECURES;
	else if (smtp_reply_class(r) >= 4 && backend_tls_optional(o->route))
		return linked(o, who, out, e);
	else
		err_set(e, "STARTTLS is refused");
	return OPENING_FAILED;
}

static enum opening_step on_xclient(struct opening *o, const struct smtp_reply *r,
    const struct introduction *who, struct bytes *out, struct err *e)
{
	char text[256] = "";
	struct buf line = BUF_ON(text);

	o->due--;
	if (smtp_reply_class(r) != 2) {
		smtp_reply_line(r, &line);
		/* Mail must not go as that of the client before. */
		if (r->code == 421 || o->again || o->due > 0 || !go_without(o, text))
			return fail(r, e);
		bytes_free(&o->said);
		o->own.xclient = o->abilities.xclient = 0; /* and so it stays */
		return OPENING_DONE;
	}
	if (o->due > 0)
		return OPENING_WAITS;
	o->abilities = (struct abilities){ .tls = o->abilities.tls };
	o->introducing = true;
	return say_hello(o, OPENING_EHLO, who, out);
}

static enum opening_step on_hello(struct opening *o, const struct smtp_reply *r,
    const struct introduction *who, struct bytes *out, struct err *e)
{
	int class = smtp_reply_class(r);

	if (class == 2 && o->state == OPENING_GREETING)
		return say_hello(o, OPENING_EHLO, who, out);
	if (class == 2 && o->state == OPENING_EHLO)
		learn(&o->abilities, slice_z(r->text));
	o->abilities.extensions &= ~o->route->unwanted;
	if (class == 2)
		return greeted(o, who, out, e);
	if (class == 5 && o->state == OPENING_EHLO)
		return say_hello(o, OPENING_HELO, who, out);
	return fail(r, e);
}

enum opening_step opening_reply(struct opening *o, const struct smtp_reply *r, bool more,
    const struct introduction *who, struct bytes *out, struct err *e)
{
	if (o->state == OPENING_STARTTLS)
		return on_starttls(o, r, more, who, out, e);
	if (o->state == OPENING_XCLIENT)
		return on_xclient(o, r, who, out, e);
	return on_hello(o, r, who, out, e);
}

/* ---- the connection ----------------------------------------------------------------------- */

enum opening_step opening_start(struct opening *o, struct route *r, struct server *s, bool clear,
    const struct introduction *who, struct bytes *out)
{
	opening_clear(o);
	o->route = r;
	o->server = s;
	o->clear = clear;
	if (r->settings->identity == IDENTITY_PROXY)
		introduction_proxy(who, out);
	return backend_tls_implicit(r) ? OPENING_SECURES : OPENING_WAITS;
}

enum opening_step opening_secured(struct opening *o, enum link_tls link, struct bytes *out)
{
	/* What was said in the clear counts no more (W26). */
	o->abilities = (struct abilities){ .tls = link };
	if (!backend_tls_implicit(o->route))
		return say_hello(o, OPENING_EHLO, NULL, out);
	o->state = OPENING_GREETING;
	return OPENING_WAITS;
}

void opening_clear(struct opening *o)
{
	bytes_free(&o->said);
	*o = (struct opening){ 0 };
}
