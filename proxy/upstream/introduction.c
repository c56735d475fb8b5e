#include "config.h"

#include "introduction.h"

#include "weir/smtp_syntax.h"

#define LINE_MAX_OCTETS ((size_t)512) /* CR LF included */
#define VALUE_MAX       ((size_t)255) /* as Postfix has it, in xtext */
#define UNAVAILABLE     "[UNAVAILABLE]"

/* ---- values ------------------------------------------------------------------------------- */

static void value_name(const struct introduction *i, struct buf *b)
{
	if (i->name != NULL)
		smtp_xtext_encode(slice_z(i->name), b);
	else if (i->name_later)
		buf_add(b, SLICE("[TEMPUNAVAIL]"));
}

static void write_address(const struct address *a, struct buf *b)
{
	char text[ADDRESS_TEXT_MAX];

	if (a->family == AF_INET6)
		buf_add(b, SLICE("IPV6:"));
	if (a->family == AF_INET || a->family == AF_INET6)
		smtp_xtext_encode(slice_z(address_text(a, text)), b);
}

static void write_port(const struct address *a, struct buf *b)
{
	if (a->port != 0)
		buf_addu(b, a->port, 1);
}

static void value_addr(const struct introduction *i, struct buf *b)
{
	write_address(&i->client, b);
}

static void value_port(const struct introduction *i, struct buf *b)
{
	write_port(&i->client, b);
}

static void value_destaddr(const struct introduction *i, struct buf *b)
{
	write_address(&i->server, b);
}

static void value_destport(const struct introduction *i, struct buf *b)
{
	write_port(&i->server, b);
}

static void value_proto(const struct introduction *i, struct buf *b)
{
	buf_add(b, i->esmtp ? SLICE("ESMTP") : SLICE("SMTP"));
}

static void write_text(const char *text, struct buf *b)
{
	if (text != NULL)
		smtp_xtext_encode(slice_z(text), b);
}

static void value_helo(const struct introduction *i, struct buf *b)
{
	write_text(i->helo, b);
}

static void value_login(const struct introduction *i, struct buf *b)
{
	write_text(i->login, b);
}

static void value_session(const struct introduction *i, struct buf *b)
{
	write_text(i->session, b);
}

static void value_ident(const struct introduction *i, struct buf *b)
{
	write_text(i->ident, b);
}

static void value_source(const struct introduction *i, struct buf *b)
{
	(void)i;
	buf_add(b, SLICE("REMOTE"));
}

static void value_ttl(const struct introduction *i, struct buf *b)
{
	buf_addu(b, i->ttl > 0 ? i->ttl - 1 : 0, 1);
}

/* ---- commands ----------------------------------------------------------------------------- */

struct attribute {
	struct slice name;
	void (*value)(const struct introduction *i, struct buf *b); /* writes nothing: not known */
};

/* A server that gets two commands may forget with the second what belongs to the session's user and
 * greeting: these stand last. */
static const struct attribute xclient[] = {
	{ SLICE("NAME"), value_name },
	{ SLICE("ADDR"), value_addr },
	{ SLICE("PORT"), value_port },
	{ SLICE("DESTADDR"), value_destaddr },
	{ SLICE("DESTPORT"), value_destport },
	{ SLICE("SESSION"), value_session },
	{ SLICE("TTL"), value_ttl },
	{ SLICE("PROTO"), value_proto },
	{ SLICE("HELO"), value_helo },
	{ SLICE("LOGIN"), value_login },
};
static const struct attribute xforward[] = {
	{ SLICE("NAME"), value_name },
	{ SLICE("ADDR"), value_addr },
	{ SLICE("PORT"), value_port },
	{ SLICE("PROTO"), value_proto },
	{ SLICE("HELO"), value_helo },
	{ SLICE("IDENT"), value_ident },
	{ SLICE("SOURCE"), value_source },
};

static const struct {
	struct slice verb;
	const struct attribute *v;
	size_t n;
} commands[] = {
	[INTRODUCTION_XCLIENT] = { SLICE("XCLIENT"), xclient, COUNT(xclient) },
	[INTRODUCTION_XFORWARD] = { SLICE("XFORWARD"), xforward, COUNT(xforward) },
};

unsigned introduction_attributes(enum introduction_command c, struct slice list)
{
	unsigned bits = 0;

	while (list.n > 0) {
		struct slice name = slice_cut(&list, ' ');

		for (size_t i = 0; i < commands[c].n; i++)
			if (slice_ieq(name, commands[c].v[i].name))
				bits |= 1u << i;
	}
	return bits;
}

/* " NAME=value". */
static void write_attribute(const struct attribute *a, const struct introduction *i, struct buf *b)
{
	char store[VALUE_MAX + 1] = "";
	struct buf value = BUF_ON(store);

	a->value(i, &value);
	buf_addc(b, ' ');
	buf_add(b, a->name);
	buf_addc(b, '=');
	buf_add(b, value.n > 0 && !value.cut ? buf_slice(&value) : SLICE(UNAVAILABLE));
}

size_t introduction_write(enum introduction_command c, unsigned attributes,
    const struct introduction *i, struct bytes *out)
{
	size_t count = 0, line = 0;

	for (size_t k = 0; k < commands[c].n; k++) {
		char store[VALUE_MAX + 32] = "";
		struct buf b = BUF_ON(store);

		if ((attributes & 1u << k) == 0)
			continue;
		write_attribute(&commands[c].v[k], i, &b);
		if (count == 0 || line + b.n + 2 > LINE_MAX_OCTETS) {
			if (count > 0)
				(void)bytes_add(out, SLICE("\r\n"));
			(void)bytes_add(out, commands[c].verb);
			line = commands[c].verb.n;
			count++;
		}
		(void)bytes_add(out, buf_slice(&b));
		line += b.n;
	}
	if (count > 0)
		(void)bytes_add(out, SLICE("\r\n"));
	return count;
}

/* ---- PROXY -------------------------------------------------------------------------------- */

enum {
	VERSION_LOCAL = 0x20,
	VERSION_PROXY = 0x21,
	TCP4 = 0x11,
	TCP6 = 0x21,
	TLV_UNIQUE_ID = 0x05,
	UNIQUE_ID_MAX = 128
};

static void add_number(struct bytes *out, size_t n, size_t octets)
{
	while (octets-- > 0)
		(void)bytes_addc(out, (char)(n >> 8 * octets));
}

/* An IPv4 address among IPv6 addresses is a mapped one (RFC 4291 2.5.5.2). */
static void add_address(struct bytes *out, const struct address *a, int family)
{
	if (family == AF_INET6 && a->family == AF_INET)
		(void)bytes_add(out, SLICE("\0\0\0\0\0\0\0\0\0\0\377\377"));
	(void)bytes_add(out, slice_of(a->octets, a->family == AF_INET6 ? 16 : 4));
}

void introduction_proxy(const struct introduction *i, struct bytes *out)
{
	struct address server;
	struct slice id;
	int family;

	(void)bytes_add(out, SLICE("\r\n\r\n\0\r\nQUIT\n"));
	if (i == NULL || (i->client.family != AF_INET && i->client.family != AF_INET6)) {
		(void)bytes_addc(out, VERSION_LOCAL);
		add_number(out, 0, 3);
		return;
	}
	server = i->server;
	if (server.family != AF_INET && server.family != AF_INET6)
		server = (struct address){ .family = i->client.family };
	family = i->client.family == AF_INET && server.family == AF_INET ? AF_INET : AF_INET6;
	id = slice_sub(slice_z(i->session), 0, UNIQUE_ID_MAX);
	(void)bytes_addc(out, VERSION_PROXY);
	(void)bytes_addc(out, family == AF_INET ? TCP4 : TCP6);
	add_number(out, (family == AF_INET ? 12 : 36) + (id.n > 0 ? 3 + id.n : 0), 2);
	add_address(out, &i->client, family);
	add_address(out, &server, family);
	add_number(out, i->client.port, 2);
	add_number(out, server.port, 2);
	if (id.n == 0)
		return;
	(void)bytes_addc(out, TLV_UNIQUE_ID);
	add_number(out, id.n, 2);
	(void)bytes_add(out, id);
}
