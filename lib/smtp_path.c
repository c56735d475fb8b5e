#include "config.h"

#include "weir/smtp_syntax.h"

#include <sys/types.h>

#include "weir/net.h"

#define LABEL_MAX 63 /* RFC 1035 2.3.4 */

static bool octet_high(char c)
{
	return (unsigned char)c > 0x7f;
}

static bool octet_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

/* RFC 5321 atext with RFC 6531's octets above 127. Dots stand anywhere: addresses with two in a row
 * or one at the end are in use. */
static bool local_octet(char c)
{
	return octet_high(c) || (c > ' ' && c < 0x7f && strchr("()<>[]:;@\\,\"", c) == NULL);
}

/* Octets of the dot-string that s begins with. */
static size_t dot_string(struct slice s)
{
	size_t n = 0;

	while (n < s.n && local_octet(s.p[n]))
		n++;
	return n;
}

/* Octets of the quoted string that s begins with, both quotes included; 0 where it is none. */
static size_t quoted_string(struct slice s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '"')
			return i + 1;
		if (s.p[i] == '\\' && ++i == s.n)
			return 0;
		if (octet_control(s.p[i]))
			return 0;
	}
	return 0;
}

static bool label_valid(struct slice label)
{
	if (label.n == 0 || label.n > LABEL_MAX || label.p[0] == '-' || label.p[label.n - 1] == '-')
		return false;
	for (size_t i = 0; i < label.n; i++) {
		char c = label.p[i];

		/* '_' is no host name's, but mail domains have it. */
		if (!ascii_alpha(c) && !ascii_digit(c) && c != '-' && c != '_' && !octet_high(c))
			return false;
	}
	return true;
}

/* RFC 5321 4.1.3, brackets included: IPv4, or "IPv6:" and v6. No other tag was ever registered. */
static bool literal_valid(struct slice literal)
{
	struct slice tag = SLICE("IPv6:"), text;
	struct address a;

	if (literal.n < 3 || literal.p[0] != '[' || literal.p[literal.n - 1] != ']')
		return false;
	text = slice_sub(literal, 1, literal.n - 2);
	if (!slice_istarts(text, tag))
		return slice_find(text, ':') == text.n && address_parse(text, &a, NULL) == 0;
	text = slice_sub(text, tag.n, text.n);
	return slice_find(text, ':') < text.n && address_parse(text, &a, NULL) == 0;
}

bool smtp_domain_valid(struct slice domain)
{
	if (domain.n == 0 || domain.n > SMTP_DOMAIN_MAX)
		return false;
	if (domain.p[0] == '[')
		return literal_valid(domain);
	/* A dot at the end is an empty label. */
	if (domain.p[domain.n - 1] == '.')
		return false;
	while (domain.n > 0)
		if (!label_valid(slice_cut(&domain, '.')))
			return false;
	return true;
}

bool smtp_helo_valid(struct slice name)
{
	if (name.n == 0 || name.n > SMTP_DOMAIN_MAX || !slice_utf8(name))
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (octet_control(name.p[i]) || name.p[i] == ' ')
			return false;
	return true;
}

/* Octets of what may be a domain or an address literal; smtp_domain_valid judges them. */
static size_t domain_octets(struct slice s)
{
	size_t n = 0;

	if (s.n > 0 && s.p[0] == '[')
		return slice_find(s, ']') < s.n ? slice_find(s, ']') + 1 : s.n;
	while (n < s.n &&
	    (ascii_alpha(s.p[n]) || ascii_digit(s.p[n]) || octet_high(s.p[n]) ||
		strchr("-._", s.p[n]) != NULL) &&
	    s.p[n] != '\0')
		n++;
	return n;
}

/* Octets of the source route "@a,@b:" that s begins with; 0 where there is none, -1 with *e where
 * it is broken. */
static ssize_t source_route(struct slice s, struct err *e)
{
	size_t at = 0;

	if (s.n == 0 || s.p[0] != '@')
		return 0;
	while (at < s.n && s.p[at] == '@') {
		struct slice left = slice_sub(s, at + 1, s.n);
		struct slice domain = slice_sub(left, 0, domain_octets(left));

		if (!smtp_domain_valid(domain))
			break;
		at += 1 + domain.n + 1;
		if (domain.n < left.n && left.p[domain.n] == ':')
			return (ssize_t)at;
		if (domain.n == left.n || left.p[domain.n] != ',')
			break;
	}
	return err_set(e, "broken source route");
}

/* "local@domain", or "postmaster" alone, at the front of s; *used is its length. */
static int mailbox_parse(
    struct slice s, enum smtp_path_kind kind, struct smtp_path *out, size_t *used, struct err *e)
{
	size_t n = s.n > 0 && s.p[0] == '"' ? quoted_string(s) : dot_string(s);
	struct slice local = slice_sub(s, 0, n), domain = { s.p + n, 0 };

	if (n == 0)
		return err_set(e, "no local part, or a broken one");
	if (n < s.n && s.p[n] == '@') {
		domain = slice_sub(s, n + 1, s.n);
		domain.n = domain_octets(domain);
		if (!smtp_domain_valid(domain))
			return err_set(e, "no domain behind '@', or a broken one");
		n += 1 + domain.n;
	} else if (kind != SMTP_FORWARD_PATH || !slice_ieq(local, SLICE("postmaster"))) {
		return err_set(e, "no '@' and domain behind the local part");
	}
	*out = (struct smtp_path){
		.address = slice_sub(s, 0, n), .local = local, .domain = domain
	};
	*used = n;
	return 0;
}

/* What stands between the brackets. */
static int path_inner(
    struct slice s, enum smtp_path_kind kind, struct smtp_path *out, size_t *used, struct err *e)
{
	ssize_t route = source_route(s, e);

	if (route < 0)
		return -1;
	if (route == 0 && kind == SMTP_REVERSE_PATH && (s.n == 0 || s.p[0] == '>')) {
		struct slice empty = slice_sub(s, 0, 0);

		*out = (struct smtp_path){ .address = empty, .local = empty, .domain = empty };
		*used = 0;
		return 0;
	}
	if (mailbox_parse(slice_sub(s, (size_t)route, s.n), kind, out, used, e) < 0)
		return -1;
	*used += (size_t)route;
	for (size_t i = 0; i < out->address.n; i++)
		out->utf8 |= octet_high(out->address.p[i]);
	if (!slice_utf8(slice_sub(s, 0, *used)))
		return err_set(e, "the address is no well-formed UTF-8");
	return 0;
}

int smtp_path_parse(struct slice argument, enum smtp_path_kind kind, struct smtp_path *path,
    struct slice *rest, struct err *e)
{
	struct slice inner = slice_sub(argument, 1, argument.n), left;
	struct smtp_path p = { 0 };
	size_t n = 0;

	if (argument.n == 0 || argument.p[0] != '<')
		return err_set(e, "no '<' before the address");
	if (path_inner(inner, kind, &p, &n, e) < 0)
		return -1;
	if (n == inner.n || inner.p[n] != '>')
		return err_set(e, "no '>' right behind the address");
	if (n + 2 > SMTP_PATH_MAX)
		return err_set(e, "path longer than %d octets", SMTP_PATH_MAX);
	left = slice_sub(inner, n + 1, inner.n);
	if (left.n > 0 && left.p[0] != ' ')
		return err_set(e, "no space behind '>'");
	while (left.n > 0 && left.p[0] == ' ')
		left = slice_sub(left, 1, left.n);
	*path = p;
	*rest = left;
	return 0;
}

int smtp_address_parse(
    struct slice text, enum smtp_path_kind kind, struct smtp_path *path, struct err *e)
{
	struct smtp_path p = { 0 };
	struct slice rest = { 0 };
	size_t n = 0;

	if (text.n > 0 && text.p[0] == '<') {
		if (smtp_path_parse(text, kind, &p, &rest, e) < 0)
			return -1;
		if (rest.n > 0)
			return err_set(e, "text behind the address");
	} else {
		if (path_inner(text, kind, &p, &n, e) < 0)
			return -1;
		if (n < text.n)
			return err_set(e, "text behind the address");
		if (n + 2 > SMTP_PATH_MAX)
			return err_set(e, "address longer than %d octets", SMTP_PATH_MAX - 2);
	}
	*path = p;
	return 0;
}
