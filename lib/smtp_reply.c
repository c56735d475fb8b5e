#include "config.h"

#include "weir/smtp_reply.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define SMTP_LINE_OCTETS ((size_t)SMTP_REPLY_LINE_MAX - 2) /* without CR LF */

/* RFC 5321 4.2: 2-5, 0-5, 0-9. Text that ends early is judged as far as it goes. */
static bool code_digits(struct slice s)
{
	static const char low[] = "200", high[] = "559";

	for (size_t i = 0; i < 3 && i < s.n; i++)
		if (s.p[i] < low[i] || s.p[i] > high[i])
			return false;
	return true;
}

/* The enhanced status code (RFC 3463 2) that s begins with, of any class; empty where there is
 * none. */
static struct slice enhanced_prefix(struct slice s)
{
	size_t at = 1;

	if (s.n < 5 || (s.p[0] != '2' && s.p[0] != '4' && s.p[0] != '5'))
		return (struct slice){ 0 };
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;

		if (at >= s.n || s.p[at++] != '.')
			return (struct slice){ 0 };
		while (at < s.n && digits < 3 && ascii_digit(s.p[at])) {
			at++;
			digits++;
		}
		if (digits == 0)
			return (struct slice){ 0 };
	}
	return at == s.n || s.p[at] == ' ' ? slice_sub(s, 0, at) : (struct slice){ 0 };
}

/* Append a line of text as the header promises it: cut between characters, a tab as a space,
 * control octets, and octets above 127 that are no UTF-8, as '?'. */
static void text_add(struct buf *b, struct slice line)
{
	size_t n = line.n, room = b->cap - b->n - 1;
	char *at = b->p + b->n;
	bool utf8;

	if (n > room)
		for (n = room; n > 0 && ((unsigned char)line.p[n] & 0xc0) == 0x80; n--)
			;
	line = slice_sub(line, 0, n);
	utf8 = slice_utf8(line);
	buf_add(b, line);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)at[i];

		if (c < ' ' || c == 0x7f || (c > 0x7f && !utf8))
			at[i] = c == '\t' ? ' ' : '?';
	}
}

/* An empty reply. The storage of its text is large, and mostly not needed: it is not zeroed. */
static void reply_clear(struct smtp_reply *r, int code)
{
	r->code = code;
	memset(r->enhanced, 0, sizeof(r->enhanced));
	r->text[0] = '\0';
}

void smtp_reply_copy(struct smtp_reply *to, const struct smtp_reply *from)
{
	to->code = from->code;
	memcpy(to->enhanced, from->enhanced, sizeof(to->enhanced));
	memcpy(to->text, from->text, strlen(from->text) + 1);
}

/* Collects a reply line by line, from the wire or from a text. */
struct reader {
	struct smtp_reply reply;
	struct buf text;
	unsigned lines;
	bool last; /* the line without '-' was read */
};

static void reader_start(struct reader *d)
{
	reply_clear(&d->reply, 0);
	d->text = BUF_ON(d->reply.text);
	d->lines = 0;
	d->last = false;
}

/* The enhanced code is the first line's, where its class is the reply's; what repeats it on later
 * lines goes, anything else is text. */
static struct slice reader_take_enhanced(struct reader *d, struct slice text)
{
	struct slice code = enhanced_prefix(text);

	if (code.n == 0 || code.p[0] - '0' != smtp_reply_class(&d->reply))
		return text;
	if (d->lines == 0)
		memcpy(d->reply.enhanced, code.p, code.n);
	else if (!slice_eq(code, slice_z(d->reply.enhanced)))
		return text;
	return slice_sub(text, code.n + 1, text.n);
}

/* One line without its end. */
static int reader_line(struct reader *d, struct slice line, struct err *e)
{
	struct slice text = slice_sub(line, 4, line.n);
	int code;

	if (line.n < 3 || !code_digits(line))
		return err_set(e, "no reply code in line %u", d->lines + 1);
	if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
		return err_set(
		    e, "line %u: neither space nor '-' behind the reply code", d->lines + 1);
	code = (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
	if (d->lines > 0 && code != d->reply.code)
		return err_set(
		    e, "reply code %d in line %u, %d before it", code, d->lines + 1, d->reply.code);
	d->reply.code = code;
	text = reader_take_enhanced(d, text);
	if (d->lines > 0)
		buf_addc(&d->text, '\n');
	text_add(&d->text, text);
	d->last = line.n == 3 || line.p[3] == ' ';
	d->lines++;
	return 0;
}

/* May the octets of a line that is not whole yet still become one? A CR may be its last octet. */
static bool line_may_begin(struct slice part)
{
	return code_digits(part) &&
	    (part.n < 4 || part.p[3] == ' ' || part.p[3] == '-' ||
		(part.p[3] == '\r' && part.n == 4)) &&
	    slice_find(part, '\0') == part.n && slice_find(part, '\r') + 1 >= part.n;
}

int smtp_reply_parse(struct slice wire, size_t *used, struct smtp_reply *r, struct err *e)
{
	struct slice left = slice_sub(wire, 0, SMTP_REPLY_WIRE_MAX);
	struct reader d;

	reader_start(&d);
	while (!d.last) {
		size_t lf = slice_find(left, '\n'), cr = slice_find(left, '\r');

		if (lf == left.n && wire.n >= SMTP_REPLY_WIRE_MAX)
			return err_set(e, "reply longer than %d octets", SMTP_REPLY_WIRE_MAX);
		if (lf == left.n)
			return line_may_begin(left) ? 0
						    : err_set(e, "no reply line: \"%.*s\"",
							  (int)(left.n < 40 ? left.n : 40), left.p);
		if (cr + 1 != lf)
			return err_set(e, "bare CR or LF in line %u", d.lines + 1);
		if (slice_find(slice_sub(left, 0, cr), '\0') < cr)
			return err_set(e, "NUL in line %u", d.lines + 1);
		if (reader_line(&d, slice_sub(left, 0, cr), e) < 0)
			return -1;
		left = slice_sub(left, lf + 1, left.n);
	}
	*used = (size_t)(left.p - wire.p);
	smtp_reply_copy(r, &d.reply);
	return 1;
}

/* The first line of a text given by a rule or a filter: only a refusal, its codes of one class. */
static int refusal_check(struct slice line, struct err *e)
{
	struct slice code;

	if (line.n < 3 || !code_digits(line) || line.p[0] < '4')
		return err_set(e, "must begin with a reply code 4yz or 5yz");
	code = enhanced_prefix(slice_sub(line, 4, line.n));
	if (code.n > 0 && code.p[0] != line.p[0])
		return err_set(e, "enhanced status code %.*s is of another class than %.3s",
		    SLICE_ARG(code), line.p);
	return 0;
}

int smtp_reply_from_text(struct slice text, struct smtp_reply *r, struct err *e)
{
	struct reader d;

	reader_start(&d);
	if (text.n > SMTP_REPLY_WIRE_MAX)
		return err_set(e, "reply longer than %d octets", SMTP_REPLY_WIRE_MAX);
	if (slice_find(text, '\0') < text.n)
		return err_set(e, "NUL in the reply");
	do {
		struct slice line = slice_cut(&text, '\n');

		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (slice_find(line, '\r') < line.n)
			return err_set(e, "bare CR in line %u", d.lines + 1);
		if ((d.lines == 0 && refusal_check(line, e) < 0) || reader_line(&d, line, e) < 0)
			return -1;
	} while (!d.last && text.n > 0);
	if (!d.last)
		return err_set(e, "the last line has '-' behind its reply code");
	if (text.n > 0)
		return err_set(e, "line %u has no '-' behind its reply code", d.lines);
	smtp_reply_copy(r, &d.reply);
	return 0;
}

void smtp_reply_set(struct smtp_reply *r, int code, const char *enhanced, const char *format, ...)
{
	char raw[SMTP_REPLY_MAX + 8]; /* text_add is the one that cuts, between characters */
	struct slice left, own = slice_z(enhanced);
	struct smtp_reply built; /* the arguments may point into *r */
	struct buf text = BUF_ON(built.text);
	va_list ap;

	assert(code >= 200 && code <= 559);
	reply_clear(&built, code);
	raw[0] = '\0';
	va_start(ap, format);
	(void)vsnprintf(raw, sizeof(raw), format, ap);
	va_end(ap);
	if (own.n > 0 && own.p[0] - '0' == code / 100 && enhanced_prefix(own).n == own.n)
		memcpy(built.enhanced, own.p, own.n);
	left = slice_z(raw);
	while (left.n > 0) {
		struct slice line = slice_cut(&left, '\n');

		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		text_add(&text, line);
		if (left.n > 0)
			buf_addc(&text, '\n');
	}
	smtp_reply_copy(r, &built);
}

/* How much of line goes out now: what fits, cut behind a space where one is near, else between
 * characters. */
static size_t line_part(struct slice line, size_t room)
{
	size_t n = room;

	if (line.n <= room)
		return line.n;
	while (n > room / 2 && line.p[n] != ' ')
		n--;
	if (line.p[n] == ' ')
		return n;
	for (n = room; n > room - 4 && ((unsigned char)line.p[n] & 0xc0) == 0x80; n--)
		;
	return n;
}

bool smtp_reply_write(const struct smtp_reply *r, struct bytes *out)
{
	struct slice left = slice_z(r->text);
	struct slice enhanced = slice_z(r->enhanced);
	char code[] = { (char)('0' + r->code / 100), (char)('0' + r->code / 10 % 10),
		(char)('0' + r->code % 10), ' ' };
	size_t room = SMTP_LINE_OCTETS - 4 - (enhanced.n > 0 ? enhanced.n + 1 : 0);
	bool good = true, more;

	assert(r->code >= 200 && r->code <= 559);
	do {
		struct slice line = slice_sub(left, 0, slice_find(left, '\n'));
		struct slice part = slice_sub(line, 0, line_part(line, room));

		/* What ended the part, a newline or a space, stands for the end of the line. */
		left = slice_sub(left, part.n, left.n);
		more = left.n > 0;
		if (more && (left.p[0] == '\n' || left.p[0] == ' '))
			left = slice_sub(left, 1, left.n);
		code[3] = more ? '-' : ' ';
		good = good && bytes_add(out, slice_of(code, sizeof(code))) &&
		    bytes_add(out, enhanced) &&
		    (enhanced.n == 0 || part.n == 0 || bytes_addc(out, ' ')) &&
		    bytes_add(out, part) && bytes_add(out, SLICE("\r\n"));
	} while (more);
	return good;
}

/* As much of s as there is room for. */
static void line_add(struct buf *out, struct slice s)
{
	size_t room = out->cap > out->n ? out->cap - out->n - 1 : 0;

	if (s.n > room) {
		buf_add(out, slice_sub(s, 0, room));
		out->cut = true;
	} else {
		buf_add(out, s);
	}
}

void smtp_reply_line(const struct smtp_reply *r, struct buf *out)
{
	struct slice left = slice_z(r->text);

	buf_addu(out, (uint64_t)r->code, 1);
	if (r->enhanced[0] != '\0') {
		buf_addc(out, ' ');
		buf_add(out, slice_z(r->enhanced));
	}
	for (const char *between = " "; left.n > 0; between = " / ") {
		line_add(out, slice_z(between));
		line_add(out, slice_cut(&left, '\n'));
	}
}
