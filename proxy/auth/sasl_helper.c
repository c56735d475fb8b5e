#include "config.h"

#include "sasl_helper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proxy/auth/base64.h"
#include "proxy/auth/cyrus.h"
#include "proxy/auth/dovecot.h"
#include "proxy/auth/introspect.h"
#include "weir/log.h"

#define OCTETS_MAX (DOVECOT_LINE_MAX / 4 * 3 + 4)

/* A login that waits for its client. */
struct dialogue {
	LIST_ENTRY(dialogue) link;
	uint32_t id;
	struct cyrus_dialogue
	    *cyrus; /* NULL: a bearer token that was refused; the client is to say that he knows */
	char user[LOGIN_MAX + 1];
};

struct helper {
	const struct proxy_settings *settings;
	int fd;
	struct cyrus *cyrus;
	struct introspector *introspector; /* NULL where none is configured */
	LIST_HEAD(, dialogue) dialogues;
	struct bytes in, out;
	char octets[OCTETS_MAX]; /* the response in hand, decoded */
};

/* ---- answers ------------------------------------------------------------------------------ */

static void say_challenge(struct helper *h, uint32_t id, struct slice octets)
{
	char text[BASE64_MAX(OCTETS_MAX) + 1] = "";
	struct buf b = BUF_ON(text);

	base64_write(octets, &b);
	(void)bytes_addf(&h->out, "CONT\t%u\t%s\n", (unsigned)id, text);
}

static void say_outcome(struct helper *h, uint32_t id, enum cyrus_result result, const char *user)
{
	(void)bytes_addf(&h->out, "%s\t%u", result == CYRUS_GOOD ? "OK" : "FAIL", (unsigned)id);
	if (user[0] != '\0')
		dovecot_add(&h->out, "user", slice_z(user));
	if (result == CYRUS_TROUBLE)
		(void)bytes_add(&h->out, SLICE("\ttemp"));
	(void)bytes_addc(&h->out, '\n');
}

/* ---- dialogues ---------------------------------------------------------------------------- */

static struct dialogue *find(const struct helper *h, uint32_t id)
{
	struct dialogue *d;

	LIST_FOREACH(d, &h->dialogues, link)
	if (d->id == id)
		return d;
	return NULL;
}

static struct dialogue *dialogue_new(struct helper *h, uint32_t id)
{
	struct dialogue *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->id = id;
	LIST_INSERT_HEAD(&h->dialogues, d, link);
	return d;
}

static void dialogue_free(struct dialogue *d)
{
	LIST_REMOVE(d, link);
	cyrus_free(&d->cyrus);
	free(d);
}

/* What a step led to. */
static void conclude(
    struct helper *h, struct dialogue *d, enum cyrus_result result, struct slice challenge)
{
	if (result == CYRUS_MORE) {
		say_challenge(h, d->id, challenge);
		return;
	}
	say_outcome(h, d->id, result, result == CYRUS_GOOD ? cyrus_login(d->cyrus) : d->user);
	dialogue_free(d);
}

/* ---- bearer tokens ------------------------------------------------------------------------ */

/* RFC 7628 3.2.3: why, as a challenge; the client answers it, and then is refused. XOAUTH2 does the
 * same with words of its own. */
static void refuse_bearer(struct helper *h, struct dialogue *d, bool xoauth2, bool malformed)
{
	if (xoauth2)
		say_challenge(h, d->id, SLICE("{\"status\":\"401\",\"schemes\":\"bearer\"}"));
	else if (malformed)
		say_challenge(h, d->id, SLICE("{\"status\":\"invalid_request\"}"));
	else
		say_challenge(h, d->id, SLICE("{\"status\":\"invalid_token\"}"));
}

static enum token check_token(struct helper *h, const struct bearer *b, char login[LOGIN_MAX + 1])
{
	struct buf name = { .p = login, .cap = LOGIN_MAX + 1 };
	struct err e = { "" };
	enum token t = introspect(h->introspector, b->token, (int64_t)time(NULL), &name, &e);

	if (t == TOKEN_TROUBLE)
		log_event(LOG_LEVEL_WARN, "introspection", "url",
		    h->settings->sasl.oauth.introspection_url, "error", e.text, NULL);
	/* A token vouches for its owner only. */
	if (t == TOKEN_GOOD && b->user[0] != '\0' && strcmp(b->user, login) != 0)
		return TOKEN_BAD;
	return t;
}

static void start_bearer(struct helper *h, struct dialogue *d, bool xoauth2, struct slice response)
{
	struct bearer b = { .user = "" };
	char login[LOGIN_MAX + 1] = "";
	bool malformed = (xoauth2 ? bearer_parse_xoauth2(response, &b, NULL)
				  : bearer_parse(response, &b, NULL)) < 0;
	enum token t = malformed ? TOKEN_BAD : check_token(h, &b, login);

	(void)snprintf(d->user, sizeof(d->user), "%s", b.user);
	if (t == TOKEN_BAD) {
		refuse_bearer(h, d, xoauth2, malformed);
		return;
	}
	say_outcome(h, d->id, t == TOKEN_GOOD ? CYRUS_GOOD : CYRUS_TROUBLE,
	    t == TOKEN_GOOD ? login : d->user);
	dialogue_free(d);
}

/* ---- what is asked ------------------------------------------------------------------------ */

/* "ADDRESS;PORT" of the fields, or NULL. */
static const char *socket_name(
    const struct dovecot_line *l, const char *ip, const char *port, struct buf *b)
{
	dovecot_unescape(dovecot_value(l->fields, slice_z(ip)), b);
	if (b->n == 0)
		return NULL;
	buf_addc(b, ';');
	dovecot_unescape(dovecot_value(l->fields, slice_z(port)), b);
	return b->cut ? NULL : b->p;
}

static void start_cyrus(struct helper *h, struct dialogue *d, const struct mechanism *m,
    const struct dovecot_line *l, struct slice response)
{
	char local[80] = "", remote[80] = "";
	struct buf here = BUF_ON(local), there = BUF_ON(remote), user = BUF_ON(d->user);
	enum cyrus_result result = CYRUS_TROUBLE;
	struct slice challenge = { 0 };

	m->login(response, &user);
	d->cyrus = cyrus_new(h->cyrus, socket_name(l, "lip", "lport", &here),
	    socket_name(l, "rip", "rport", &there), dovecot_flag(l->fields, SLICE("secured")));
	if (d->cyrus != NULL)
		result = cyrus_start(d->cyrus, m->name.p, response, &challenge);
	conclude(h, d, result, challenge);
}

static void on_auth(struct helper *h, const struct dovecot_line *l)
{
	struct slice text = dovecot_value(l->fields, SLICE("resp")), response = { 0 };
	const struct mechanism *m = mechanism_find(l->name);
	struct dialogue *d = dialogue_new(h, l->id);
	struct buf octets = BUF_ON(h->octets);
	bool xoauth2 = slice_eq(l->name, SLICE("XOAUTH2"));

	if (d == NULL || m == NULL || (text.p != NULL && !base64_read(text, &octets))) {
		say_outcome(h, l->id, d == NULL ? CYRUS_TROUBLE : CYRUS_BAD, "");
		if (d != NULL)
			dialogue_free(d);
		return;
	}
	if (text.p != NULL)
		response = buf_slice(&octets);
	if (!xoauth2 && !slice_eq(l->name, SLICE("OAUTHBEARER")))
		start_cyrus(h, d, m, l, response);
	else if (h->introspector == NULL) {
		say_outcome(h, l->id, CYRUS_TROUBLE, "");
		dialogue_free(d);
	} else
		start_bearer(h, d, xoauth2, response);
}

static void on_cont(struct helper *h, const struct dovecot_line *l)
{
	struct dialogue *d = find(h, l->id);
	struct buf octets = BUF_ON(h->octets), user = { 0 };
	struct slice challenge = { 0 };
	enum cyrus_result result = CYRUS_BAD;

	if (d == NULL)
		return;
	if (d->cyrus != NULL && base64_read(l->name, &octets)) {
		/* CRAM-MD5 tells who it is in this response; SCRAM has told before. */
		user = (struct buf){ .p = d->user, .cap = sizeof(d->user) };
		if (d->user[0] == '\0')
			mechanism_find(SLICE("CRAM-MD5"))->login(buf_slice(&octets), &user);
		result = cyrus_step(d->cyrus, buf_slice(&octets), &challenge);
	}
	conclude(h, d, result, challenge);
}

static bool on_line(struct helper *h, struct slice line)
{
	struct dovecot_line l;
	struct dialogue *d;

	if (dovecot_parse(line, &l, NULL) < 0)
		return false;
	if (l.verb == DOVECOT_AUTH)
		on_auth(h, &l);
	else if (l.verb == DOVECOT_CONT)
		on_cont(h, &l);
	else if (l.verb == DOVECOT_CANCEL && (d = find(h, l.id)) != NULL)
		dialogue_free(d);
	explicit_bzero(h->octets, sizeof(h->octets));
	return true;
}

/* ---- life --------------------------------------------------------------------------------- */

static bool send_all(struct helper *h)
{
	size_t done = 0;

	while (done < h->out.n) {
		ssize_t n = send(h->fd, h->out.p + done, h->out.n - done, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return false;
		done += n > 0 ? (size_t)n : 0;
	}
	bytes_clear(&h->out);
	return !h->out.failed;
}

/* Every whole line that lies there. */
static bool take_lines(struct helper *h)
{
	struct slice rest = bytes_slice(&h->in);
	size_t end;

	while ((end = slice_find(rest, '\n')) < rest.n) {
		if (!on_line(h, slice_sub(rest, 0, end)) || !send_all(h))
			return false;
		rest = slice_sub(rest, end + 1, rest.n);
	}
	if (rest.n > 0)
		memmove(h->in.p, rest.p, rest.n);
	h->in.n = rest.n;
	return rest.n < DOVECOT_LINE_MAX;
}

static void say_mechanisms(struct helper *h)
{
	unsigned set = cyrus_mechanisms(h->cyrus);
	const struct conf_strs *list = &h->settings->sasl.mechanisms;
	unsigned bearer = mechanisms_read(SLICE("OAUTHBEARER XOAUTH2"));

	for (size_t i = 0; i < list->n; i++) {
		const struct mechanism *m = mechanism_find(slice_z(list->v[i]));

		if (m != NULL && ((m->bit & set) || ((m->bit & bearer) && h->introspector != NULL)))
			(void)bytes_addf(&h->out, "MECH\t%s\n", m->name.p);
	}
	(void)bytes_add(&h->out, SLICE("DONE\n"));
}

static int prepare(struct helper *h, struct err *e)
{
	if ((h->cyrus = cyrus_open(h->settings, e)) == NULL)
		return -1;
	if (h->settings->sasl.oauth.introspection_url[0] == '\0')
		return 0;
	h->introspector = introspector_open(h->settings, e);
	/* The other mechanisms need no endpoint. */
	if (h->introspector == NULL)
		log_event(LOG_LEVEL_ERROR, "introspection", "error", e->text, NULL);
	return 0;
}

int sasl_helper_run(const struct proxy_settings *settings, int fd)
{
	struct helper *h = calloc(1, sizeof(*h));
	struct err e = { "out of memory" };
	ssize_t n;

	if (h != NULL) {
		h->settings = settings;
		h->fd = fd;
		LIST_INIT(&h->dialogues);
	}
	if (h == NULL || prepare(h, &e) < 0) {
		log_event(LOG_LEVEL_ERROR, "sasl", "error", e.text, NULL);
		free(h);
		return EXIT_FAILURE;
	}
	say_mechanisms(h);
	while (send_all(h) && take_lines(h) && bytes_reserve(&h->in, DOVECOT_LINE_MAX)) {
		n = recv(fd, h->in.p + h->in.n, DOVECOT_LINE_MAX, 0);
		if (n == 0)
			return EXIT_SUCCESS;
		if (n < 0 && errno != EINTR)
			break;
		h->in.n += n > 0 ? (size_t)n : 0;
	}
	return EXIT_FAILURE;
}
