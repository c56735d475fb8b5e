#include "config.h"

#include "received.h"

#include <stdlib.h>

/* What names and address literals are made of: a bit for each octet of ASCII. */
#define RANGE(from, to) ((UINT64_C(2) << ((to)&63)) - (UINT64_C(1) << ((from)&63)))
static const uint64_t in_names[4] = { RANGE('0', ':') | RANGE('-', '.'),
	RANGE('A', '[') | RANGE(']', ']') | RANGE('_', '_') | RANGE('a', 'z'), 0, 0 };

/* A HELO name is foreign text inside a structured field: nothing else passes. Octets above 127 only
 * where the message may carry UTF-8. */
static void add_name(struct buf *b, struct slice name, bool utf8)
{
	for (size_t i = 0; i < name.n && i < 255; i++) {
		unsigned char c = (unsigned char)name.p[i];

		buf_addc(b,
		    (in_names[c >> 6] >> (c & 63) & 1) != 0 || (c > 127 && utf8) ? (char)c : '?');
	}
}

/* Path text may hold quotes and blanks; only what ends a line or the path is taken out. */
static void add_path(struct buf *b, struct slice path, bool utf8)
{
	for (size_t i = 0; i < path.n && i < 256; i++) {
		unsigned char c = (unsigned char)path.p[i];

		buf_addc(b, c >= ' ' && c != 127 && (c < 127 || utf8) ? (char)c : '?');
	}
}

/* Foreign text inside a comment: nothing that could end or nest it. */
static void add_comment(struct buf *b, struct slice text)
{
	for (size_t i = 0; i < text.n && i < 128; i++) {
		unsigned char c = (unsigned char)text.p[i];
		bool good = c >= ' ' && c < 127 && strchr("()\\\"<>", c) == NULL;

		buf_addc(b, good ? (char)c : '?');
	}
}

static void add_tls(struct buf *b, const struct received *r)
{
	const struct tls_facts *t = r->tls;

	buf_add(b, SLICE("\r\n\t(using "));
	buf_add(b, slice_z(t->version));
	buf_add(b, SLICE(" with cipher "));
	buf_add(b, slice_z(t->cipher));
	buf_add(b, SLICE(" ("));
	buf_addu(b, (uint64_t)t->bits, 1);
	buf_addc(b, '/');
	buf_addu(b, (uint64_t)t->cipher_bits, 1);
	buf_add(b, SLICE(" bits)"));
	if (t->sni != NULL) {
		buf_add(b, SLICE(" SNI "));
		add_comment(b, slice_z(t->sni));
	}
	buf_addc(b, ')');
	if (r->certificate == NULL)
		return;
	buf_add(b, SLICE("\r\n\t(client certificate "));
	add_comment(b, slice_z(r->certificate));
	buf_add(b, strcmp(t->verify, "OK") == 0 ? SLICE(", verified)") : SLICE(", not verified)"));
}

/* RFC 3848, RFC 6531 4.3. There is no registered word for HELO under TLS. */
static void add_protocol(struct buf *b, const struct received *r)
{
	buf_add(b, r->utf8 ? SLICE("UTF8SMTP") : r->esmtp ? SLICE("ESMTP") : SLICE("SMTP"));
	if (!r->utf8 && !r->esmtp)
		return;
	if (r->tls != NULL || r->tls_in_front)
		buf_addc(b, 'S');
	if (r->authenticated)
		buf_addc(b, 'A');
}

/* RFC 5322 3.3, whatever the locale. */
static void write_date(struct buf *b, time_t when)
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec" };
	struct tm tm;
	long minutes;

	localtime_r(&when, &tm);
	minutes = tm.tm_gmtoff / 60;
	buf_add(b, slice_z(days[tm.tm_wday]));
	buf_add(b, SLICE(", "));
	buf_addu(b, (uint64_t)tm.tm_mday, 1);
	buf_addc(b, ' ');
	buf_add(b, slice_z(months[tm.tm_mon]));
	buf_addc(b, ' ');
	buf_addu(b, (uint64_t)tm.tm_year + 1900, 4);
	buf_addc(b, ' ');
	buf_addu(b, (uint64_t)tm.tm_hour, 2);
	buf_addc(b, ':');
	buf_addu(b, (uint64_t)tm.tm_min, 2);
	buf_addc(b, ':');
	buf_addu(b, (uint64_t)tm.tm_sec, 2);
	buf_add(b, minutes < 0 ? SLICE(" -") : SLICE(" +"));
	buf_addu(b, (uint64_t)labs(minutes) / 60, 2);
	buf_addu(b, (uint64_t)labs(minutes) % 60, 2);
}

/* Many messages come in one second. */
static void add_date(struct buf *b, time_t when)
{
	static struct {
		time_t when;
		char text[40];
		size_t n;
	} kept;

	if (when != kept.when || kept.n == 0) {
		struct buf text = BUF_ON(kept.text);

		write_date(&text, when);
		kept.when = when;
		kept.n = text.n;
	}
	buf_add(b, slice_of(kept.text, kept.n));
}

void received_write(const struct received *r, struct buf *b)
{
	char text[ADDRESS_TEXT_MAX];

	buf_add(b, SLICE("Received: from "));
	add_name(b, r->helo.n > 0 ? r->helo : SLICE("unknown"), r->utf8);
	buf_add(b, SLICE(" ("));
	if (r->client_name.n > 0) {
		add_name(b, r->client_name, false);
		buf_addc(b, ' ');
	}
	buf_add(b, r->client->family == AF_INET6 ? SLICE("[IPv6:") : SLICE("["));
	buf_add(b, slice_z(address_text(r->client, text)));
	buf_add(b, SLICE("])"));
	if (r->tls != NULL)
		add_tls(b, r);
	buf_add(b, SLICE("\r\n\tby "));
	buf_add(b, r->by);
	buf_add(b, SLICE(" (Weir) with "));
	add_protocol(b, r);
	buf_add(b, SLICE(" id "));
	buf_add(b, r->id);
	if (r->only_recipient.p != NULL) {
		buf_add(b, SLICE("\r\n\tfor <"));
		add_path(b, r->only_recipient, r->utf8);
		buf_addc(b, '>');
	}
	buf_add(b, SLICE("; "));
	add_date(b, r->when);
	buf_add(b, SLICE("\r\n"));
}
