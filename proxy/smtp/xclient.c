#include "config.h"

#include "xclient.h"

#include "weir/smtp_syntax.h"

/* ---- values ------------------------------------------------------------------------------- */

/* What may stand in macros, log lines and header fields. */
static bool is_plain(struct slice value)
{
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] <= ' ' || value.p[i] > '~')
			return false;
	return value.n > 0;
}

static bool take_text(struct slice value, struct xclient_text *out)
{
	struct buf b = BUF_ON(out->text);

	out->text[0] = '\0';
	buf_add(&b, value);
	return !b.cut;
}

static bool take_name(struct slice value, void *out)
{
	return is_plain(value) && smtp_domain_valid(value) && take_text(value, out);
}

/* As the client said it, however odd; the next EHLO counts. */
static bool take_helo(struct slice value, void *out)
{
	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] < ' ' || value.p[i] == 127)
			return false;
	return value.n > 0 && take_text(value, out);
}

static bool take_login(struct slice value, void *out)
{
	return is_plain(value) && take_text(value, out);
}

static bool take_proto(struct slice value, void *out)
{
	return (slice_ieq(value, SLICE("SMTP")) || slice_ieq(value, SLICE("ESMTP"))) &&
	    take_text(value, out);
}

/* IPv6 addresses carry a prefix, and only they. */
static bool take_address(struct slice value, void *out)
{
	struct xclient_address *a = out;
	bool v6 = slice_istarts(value, SLICE("IPV6:"));

	if (v6)
		value = slice_sub(value, 5, value.n);
	return v6 == (slice_find(value, ':') < value.n) &&
	    address_parse(value, &a->address, NULL) == 0;
}

static bool take_port(struct slice value, void *out)
{
	return slice_number(value, 65535, &((struct xclient_number *)out)->number) == 0;
}

static bool take_ttl(struct slice value, void *out)
{
	return slice_number(value, 255, &((struct xclient_number *)out)->number) == 0;
}

/* ---- attributes --------------------------------------------------------------------------- */

/* said is the first member of every kind of value. */
#define AT(member) offsetof(struct xclient, member), sizeof(((struct xclient *)0)->member)
static const struct attribute {
	struct slice name;
	size_t offset, size;
	bool (*take)(struct slice value, void *out);
} attributes[] = {
	{ SLICE("NAME"), AT(name), take_name },
	{ SLICE("REVERSE_NAME"), AT(reverse_name), take_name },
	{ SLICE("ADDR"), AT(addr), take_address },
	{ SLICE("PORT"), AT(port), take_port },
	{ SLICE("PROTO"), AT(proto), take_proto },
	{ SLICE("HELO"), AT(helo), take_helo },
	{ SLICE("LOGIN"), AT(login), take_login },
	{ SLICE("DESTADDR"), AT(dest_addr), take_address },
	{ SLICE("DESTPORT"), AT(dest_port), take_port },
	{ SLICE("TTL"), AT(ttl), take_ttl },
};
#undef AT

static int take(const struct attribute *a, struct slice xtext, struct xclient *x, struct err *e)
{
	char *place = (char *)x + a->offset, text[XCLIENT_TEXT_MAX] = "";
	struct buf value = BUF_ON(text);
	enum xclient_said *said = (void *)place;

	memset(place, 0, a->size);
	if (smtp_xtext_decode(xtext, &value, NULL) < 0)
		return err_set(e, "Bad value of %.*s", SLICE_ARG(a->name));
	if (slice_ieq(buf_slice(&value), SLICE("[UNAVAILABLE]")))
		*said = XCLIENT_UNAVAILABLE;
	else if (slice_ieq(buf_slice(&value), SLICE("[TEMPUNAVAIL]")))
		*said = XCLIENT_TEMPUNAVAIL;
	else if (a->take(buf_slice(&value), place))
		*said = XCLIENT_VALUE;
	else
		return err_set(e, "Bad value of %.*s", SLICE_ARG(a->name));
	return 0;
}

static int take_word(struct slice word, struct xclient *x, struct err *e)
{
	struct slice name = slice_cut(&word, '=');

	for (size_t i = 0; i < COUNT(attributes); i++)
		if (slice_ieq(name, attributes[i].name))
			return take(&attributes[i], word, x, e);
	return err_set(e, "Attribute not known");
}

int xclient_parse(struct slice argument, struct xclient *x, struct err *e)
{
	struct xclient found = { 0 };
	size_t n = 0;

	while (argument.n > 0) {
		struct slice word = slice_cut(&argument, ' ');

		if (word.n == 0)
			continue;
		if (take_word(word, &found, e) < 0)
			return -1;
		n++;
	}
	if (n == 0)
		return err_set(e, "Syntax: XCLIENT attribute=value...");
	*x = found;
	return 0;
}
