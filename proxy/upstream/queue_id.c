#include "config.h"

#include "queue_id.h"

enum where { BEHIND, BEFORE };

/* The words that an id stands beside, in the order in which they are looked for. */
static const struct {
	struct slice words;
	enum where where;
} marks[] = {
	{ SLICE("queued as "), BEHIND },       /* Postfix: Ok: queued as 4Xk2Lz1abcz */
	{ SLICE("InternalId="), BEHIND },      /* Exchange: <..> [InternalId=17, Hostname=..] .. */
	{ SLICE("OK id="), BEHIND },           /* Exim: OK id=1rAbCd-0000ab-1X */
	{ SLICE("Message Queued ("), BEHIND }, /* Haraka: Message Queued (0AB1-..) */
	{ SLICE(" Message accepted"),
	    BEFORE },                  /* Sendmail, OpenSMTPD: 3AP0qcd1 Message accepted .. */
	{ SLICE(" Saved"), BEFORE },   /* Dovecot's LMTP: <u@d> aB3dE Saved */
	{ SLICE(" - gsmtp"), BEFORE }, /* Google: OK  1700000000 a1-20c.5 - gsmtp */
	{ SLICE(" qp "), BEHIND },     /* qmail: ok 1700000000 qp 4711 */
	{ SLICE("queued with id "), BEHIND }, /* Stalwart: Message queued with id 3f2a. */
	{ SLICE("id="), BEHIND },             /* what others are likely to write */
	{ SLICE("id: "), BEHIND },
};

static bool id_octet(char c)
{
	return ascii_alpha(c) || ascii_digit(c) || (c != '\0' && strchr("-_.+/:@=$", c) != NULL);
}

static struct slice id_behind(struct slice text, size_t at)
{
	size_t n = 0;

	while (at + n < text.n && id_octet(text.p[at + n]))
		n++;
	while (n > 0 && strchr(".:", text.p[at + n - 1]) != NULL)
		n--; /* the sentence's, not the id's */
	return slice_sub(text, at, n);
}

static struct slice id_before(struct slice text, size_t at)
{
	size_t from = at;

	while (from > 0 && id_octet(text.p[from - 1]))
		from--;
	return slice_sub(text, from, at - from);
}

static bool has_digit(struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		if (ascii_digit(text.p[i]))
			return true;
	return false;
}

struct slice queue_id_find(struct slice text)
{
	if (!has_digit(text))
		return (
		    struct slice){ 0 }; /* most short replies; ids are numbers at least in part */
	for (size_t i = 0; i < COUNT(marks); i++) {
		size_t at = slice_find_slice(text, marks[i].words);
		struct slice id;

		if (at == text.n)
			continue;
		id = marks[i].where == BEHIND ? id_behind(text, at + marks[i].words.n)
					      : id_before(text, at);
		if (id.n > 0 && id.n <= QUEUE_ID_MAX)
			return id;
	}
	return (struct slice){ 0 };
}
