#include "config.h"

#include "bayes.h"

#include "identity.h"
#include "tokens.h"

enum {
	MAILBOXES_MAX = 20, /* of one field */
	NAMES_MAX = 60,     /* field names whose order is looked at */
	PARTS_MAX = 20,
	URLS_MAX = 100,
	RECEIVED_MAX = 8,
	ATTACHMENTS_MAX = 20,
	VALUE_MAX = 1000, /* octets of one field */
	OTHER_MAX = 300,  /* octets of a field that nothing is known of */
};

/* Fields that the way adds behind the author, or a mailbox: training sees them in a stored message,
 * scoring does not see them in a new one. A '*' at the end stands for anything. */
static const struct slice added_later[] = {
	{ "delivered-to", 12 },
	{ "received", 8 },
	{ "return-path", 11 },
	{ "x-original-to", 13 },
	{ "envelope-to", 11 },
	{ "delivery-date", 13 },
	{ "status", 6 },
	{ "x-status", 8 },
	{ "x-uid", 5 },
	{ "x-uidl", 6 },
	{ "x-keywords", 10 },
	{ "lines", 5 },
	{ "content-length", 14 },
	{ "authentication-results", 22 },
	{ "received-spf", 12 },
	{ "x-spam-*", 8 },
	{ "x-virus-*", 9 },
	{ "x-mozilla-*", 11 },
	{ "x-bogosity", 10 },
	{ "x-pyzor", 7 },
	{ "x-dcc-*", 7 },
	{ "x-razor*", 8 },
	{ "x-evolution*", 12 },
	{ "x-fetchmail*", 12 },
	{ "x-loop", 6 },
};

static bool is_added_later(struct slice name)
{
	for (size_t i = 0; i < COUNT(added_later); i++) {
		struct slice a = added_later[i];

		if (a.p[a.n - 1] == '*' ? slice_istarts(name, slice_sub(a, 0, a.n - 1))
					: slice_ieq(name, a))
			return true;
	}
	return false;
}

/* ---- header fields --------------------------------------------------------------------------- */

static struct slice value_of(struct message *m, struct header_field *f)
{
	return slice_sub(header_value(m, f), 0, VALUE_MAX);
}

static void on_subject(struct tokens *t, struct message *m, struct header_field *f)
{
	tokens_add_words(t, TOKEN_SUBJECT, value_of(m, f), true);
}

/* Names as words; addresses whole, and their domains. */
static void mailboxes(struct tokens *t, struct message *m, struct header_field *f,
    enum token_field names, enum token_field addresses)
{
	size_t n;
	struct mailbox *v = message_mailboxes(m, f, &n);

	for (size_t i = 0; v != NULL && i < n && i < MAILBOXES_MAX; i++) {
		struct slice domain = v[i].address;

		tokens_add_words(t, names, v[i].name, false);
		tokens_add(t, addresses, v[i].address);
		(void)slice_cut(&domain, '@');
		tokens_add(t, addresses, domain);
	}
}

static void on_from(struct tokens *t, struct message *m, struct header_field *f)
{
	mailboxes(t, m, f, TOKEN_FROM, TOKEN_ADDRESS);
}

static void on_reply_to(struct tokens *t, struct message *m, struct header_field *f)
{
	mailboxes(t, m, f, TOKEN_REPLY, TOKEN_REPLY);
}

static void on_to(struct tokens *t, struct message *m, struct header_field *f)
{
	mailboxes(t, m, f, TOKEN_TO, TOKEN_TO);
}

static void on_mailer(struct tokens *t, struct message *m, struct header_field *f)
{
	tokens_add(t, TOKEN_MAILER, value_of(m, f));
	tokens_add_words(t, TOKEN_MAILER, value_of(m, f), false);
}

/* The right side of a Message-ID is the host, or the program, that made it. */
static void on_message_id(struct tokens *t, struct message *m, struct header_field *f)
{
	struct slice right = value_of(m, f);

	(void)slice_cut(&right, '@');
	tokens_add(t, TOKEN_ID, slice_sub(right, 0, slice_find(right, '>')));
}

/* Hosts and addresses, and the networks they lie in; the words around them tell programs apart. */
static void on_received(struct tokens *t, struct message *m, struct header_field *f)
{
	struct slice rest = value_of(m, f);

	tokens_add_words(t, TOKEN_RECEIVED, rest, false);
	for (size_t i = 0; rest.n > 0; i++) {
		size_t n = 0, dots = 0, last = 0, digits = 0;

		while (n < rest.n &&
		    (ascii_alpha(rest.p[n]) || ascii_digit(rest.p[n]) || rest.p[n] == '.' ||
			rest.p[n] == '-')) {
			digits += ascii_digit(rest.p[n]);
			if (rest.p[n] == '.') {
				last = n;
				dots++;
			}
			n++;
		}
		if (dots > 0 && last + 1 < n) {
			tokens_add(t, TOKEN_RECEIVED, slice_sub(rest, 0, n));
			if (digits + dots == n)
				tokens_add(t, TOKEN_RECEIVED, slice_sub(rest, 0, last));
			else
				tokens_add(t, TOKEN_RECEIVED,
				    slice_sub(rest, slice_find(rest, '.') + 1,
					n - slice_find(rest, '.') - 1));
		}
		rest = slice_sub(rest, n + 1, rest.n);
	}
}

/* Short fields whose value is one of a few. */
static void on_whole(struct tokens *t, struct message *m, struct header_field *f)
{
	tokens_add_pair(t, TOKEN_HEADER, f->name, value_of(m, f));
}

/* "+0200": the time zone is the last word in front of a comment. */
static void on_date(struct tokens *t, struct message *m, struct header_field *f)
{
	struct slice value = value_of(m, f);

	value = slice_trim(slice_sub(value, 0, slice_find(value, '(')));
	if (value.n > 5)
		tokens_add_pair(t, TOKEN_HEADER, f->name, slice_sub(value, value.n - 5, 5));
}

static const struct looked_at {
	struct slice name;
	void (*on)(struct tokens *t, struct message *m, struct header_field *f);
} looked_at[] = {
	{ { "subject", 7 }, on_subject },
	{ { "from", 4 }, on_from },
	{ { "sender", 6 }, on_from },
	{ { "reply-to", 8 }, on_reply_to },
	{ { "to", 2 }, on_to },
	{ { "cc", 2 }, on_to },
	{ { "x-mailer", 8 }, on_mailer },
	{ { "user-agent", 10 }, on_mailer },
	{ { "message-id", 10 }, on_message_id },
	{ { "received", 8 }, on_received },
	{ { "date", 4 }, on_date },
	{ { "mime-version", 12 }, on_whole },
	{ { "precedence", 10 }, on_whole },
	{ { "importance", 10 }, on_whole },
	{ { "x-priority", 10 }, on_whole },
	{ { "x-msmail-priority", 17 }, on_whole },
	{ { "organization", 12 }, on_whole },
	{ { "list-id", 7 }, on_whole },
	{ { "content-transfer-encoding", 25 }, on_whole },
	{ { "content-language", 16 }, on_whole },
	{ { "auto-submitted", 14 }, on_whole },
};

static void on_field(struct tokens *t, struct message *m, struct header_field *f)
{
	for (size_t i = 0; i < COUNT(looked_at); i++) {
		if (slice_ieq(f->name, looked_at[i].name)) {
			looked_at[i].on(t, m, f);
			return;
		}
	}
	if (!is_added_later(f->name))
		tokens_add_words(t, TOKEN_HEADER, slice_sub(value_of(m, f), 0, OTHER_MAX), false);
}

/* Which fields a program writes, and in which order, tells programs apart. */
static void header_tokens(struct tokens *t, struct message *m)
{
	struct slice before = SLICE("^");
	size_t names = 0, received = 0;

	for (size_t i = 0; i < m->field_count; i++) {
		struct header_field *f = &m->fields[i];

		if (!slice_ieq(f->name, SLICE("received")) || received++ < RECEIVED_MAX)
			on_field(t, m, f);
		if (f->name.n == 0 || is_added_later(f->name) || names++ >= NAMES_MAX)
			continue;
		tokens_add(t, TOKEN_HEADER, f->name);
		tokens_add_pair(t, TOKEN_HEADER, before, f->name);
		before = f->name;
	}
}

/* ---- what the message holds ------------------------------------------------------------------ */

/* The next part in order of reading. */
static const struct part *part_next(const struct part *p)
{
	if (p->first != NULL)
		return p->first;
	while (p != NULL && p->next == NULL)
		p = p->parent;
	return p != NULL ? p->next : NULL;
}

static void part_tokens(struct tokens *t, const struct message *m)
{
	const struct part *p = m->root;

	for (size_t i = 0; p != NULL && i < PARTS_MAX; i++, p = part_next(p)) {
		tokens_add(t, TOKEN_PART, p->type);
		tokens_add_pair(t, TOKEN_PART, p->type, p->charset);
		tokens_add_pair(t, TOKEN_PART, p->type, p->encoding);
		if (p->parent != NULL)
			tokens_add_pair(t, TOKEN_PART, p->parent->type, p->type);
	}
}

static void attachment_tokens(struct tokens *t, const struct message *m)
{
	for (size_t i = 0; i < m->attachment_count && i < ATTACHMENTS_MAX; i++) {
		const struct part *p = m->attachments[i];
		struct slice name = slice_sub(p->name, 0, VALUE_MAX), extension = name;

		while (slice_find(extension, '.') < extension.n)
			(void)slice_cut(&extension, '.');
		tokens_add(t, TOKEN_ATTACHMENT, p->type);
		tokens_add_words(t, TOKEN_ATTACHMENT, name, false);
		tokens_add(t, TOKEN_ATTACHMENT, extension);
		tokens_add(t, TOKEN_ATTACHMENT, slice_z(p->sha256));
	}
}

/* Hosts, the domains they lie in, and the words of the path. */
static void url_tokens(struct tokens *t, const struct message *m)
{
	for (size_t i = 0; i < m->url_count && i < URLS_MAX; i++) {
		const struct url *u = &m->urls[i];
		struct slice path = slice_sub(u->url, 0, VALUE_MAX);
		size_t host = slice_ifind_slice(path, u->host);

		tokens_add(t, TOKEN_URL, u->host);
		tokens_add(t, TOKEN_URL, u->domain);
		path = slice_sub(path, host + u->host.n, path.n);
		while (path.n > 0) {
			size_t n = 0;

			while (n < path.n && (ascii_alpha(path.p[n]) || ascii_digit(path.p[n])))
				n++;
			if (n >= 3 && n <= 24)
				tokens_add(t, TOKEN_URL, slice_sub(path, 0, n));
			path = slice_sub(path, n + 1, path.n);
		}
	}
}

bool features_to_score(struct message *m, struct arena *a, struct features *out)
{
	struct slice text = slice_sub(m->text, 0, FEATURES_TEXT_MAX);
	struct tokens t = { 0 };

	*out = (struct features){ 0 };
	/* The text last: where it is too much for FEATURES_MAX, the header is still seen. */
	header_tokens(&t, m);
	part_tokens(&t, m);
	attachment_tokens(&t, m);
	url_tokens(&t, m);
	for (size_t i = 0; i < m->anomaly_count; i++)
		tokens_add(&t, TOKEN_ANOMALY, m->anomalies[i]);
	tokens_add_words(&t, TOKEN_TEXT, text, true);
	return tokens_finish(&t, a, out);
}

bool features_of(struct message *m, struct arena *a, struct features *out)
{
	return features_to_score(m, a, out) && identity_of(m, out->id);
}
