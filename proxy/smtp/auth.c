#include "config.h"

#include "auth.h"

#include <stdlib.h>

#include "findings.h"
#include "identity.h"
#include "proxy/listen/front.h"
#include "weir/log.h"

/* "AUTH", a mechanism's name, blanks and CR LF beside the response. */
#define COMMAND_MAX (AUTH_LINE_MAX + 32)
/* No mechanism of ours needs more than four. */
#define RESPONSES_MAX 8
#define DELAY_MAX_MS  10000

/* What a session has of it once AUTH was said. */
struct login {
	struct session *session;
	const struct mechanism *mechanism;
	struct auth_dialogue *dialogue; /* NULL: none is under way */
	bool expecting;                 /* the next line is a response */
	bool good;                      /* he is who he says */
	unsigned responses;
	struct event delay; /* until a failure is told */
	struct bytes later; /* the words for it */
	char name[LOGIN_MAX + 1];
};

static const struct auth_events events;

/* ---- who may, and what -------------------------------------------------------------------- */

/* TLS may end at a balancer in front of us, if it is one that we trust. */
static bool secure(const struct session *s)
{
	return session_secure(s) || (s->front != NULL && s->front->tls);
}

/* Passwords are not asked for where anybody could read them. */
static bool allowed(const struct session *s)
{
	return secure(s) || s->listener->settings->auth_plaintext;
}

static unsigned mechanisms(const struct session *s)
{
	return s->listener->auth != NULL ? auth_mechanisms(s->listener->auth) : 0;
}

bool auth_offered(const struct session *s)
{
	return allowed(s) && mechanisms(s) != 0;
}

void auth_offer(const struct session *s, struct bytes *out)
{
	mechanisms_write(mechanisms(s), out);
}

/* Somebody in front of us whom we trust has seen him log in. */
static bool told(const struct session *s)
{
	return s->front != NULL && s->front->login != NULL;
}

bool auth_good(const struct session *s)
{
	return told(s) || (s->login != NULL && s->login->good);
}

const char *auth_login(const struct session *s)
{
	if (!auth_good(s))
		return NULL;
	return told(s) ? s->front->login : s->login->name;
}

struct slice auth_mechanism(const struct session *s)
{
	if (!auth_good(s))
		return (struct slice){ 0 };
	return told(s) ? SLICE("XCLIENT") : s->login->mechanism->name;
}

bool auth_needed(const struct session *s)
{
	return s->listener->settings->auth_required && !auth_good(s);
}

/* ---- penalties ---------------------------------------------------------------------------- */

static struct penalty_limits limits(const struct session *s)
{
	return (struct penalty_limits){ .failures = (unsigned)s->settings->limits.auth_failures,
		.forget_s = s->settings->limits.auth_forget_s,
		.ban_s = s->settings->limits.auth_ban_s };
}

static struct penalties *penalties(const struct session *s)
{
	return &s->worker->shared->penalties;
}

bool auth_banned(const struct session *s)
{
	if (s->listener->auth == NULL ||
	    !penalties_banned(penalties(s), &s->client, limits(s), clock_ms() / 1000))
		return false;
	atomic_fetch_add_explicit(&penalties(s)->refused, 1, memory_order_relaxed);
	return true;
}

/* One line that a log watcher can go by. Never a word of what was to prove the login. */
static void log_login(const struct session *s, enum log_level level, const char *event,
    struct slice name, const char *why)
{
	struct log_line l;

	log_begin(&l, level, event);
	log_z(&l, "id", s->id);
	log_z(&l, "client", s->client_text);
	log_str(&l, "login", name);
	log_str(&l, "mechanism", s->login->mechanism->name);
	if (why != NULL)
		log_z(&l, "why", why);
	log_end(&l);
}

/* Count it; how long the client shall wait for the answer. */
static int64_t punish(struct session *s, struct slice name)
{
	int64_t ms = s->settings->timeouts.auth_delay_ms;
	struct penalty p = penalties_failed(
	    penalties(s), &s->client, name, limits(s), clock_ms() / 1000);

	log_login(s, LOG_LEVEL_INFO, "auth_failed", name, NULL);
	if (p.ban)
		log_login(s, LOG_LEVEL_WARN, "auth_banned", name, NULL);
	for (unsigned i = 1; i < p.failures && ms < DELAY_MAX_MS; i++)
		ms *= 2;
	return ms < DELAY_MAX_MS ? ms : DELAY_MAX_MS;
}

/* ---- the end of a dialogue ---------------------------------------------------------------- */

static void finish(struct login *l)
{
	auth_cancel(&l->dialogue);
	l->expecting = false;
}

static void refuse(struct session *s, struct slice words)
{
	finish(s->login);
	session_say(s, words);
}

/* The name goes to filters, which may write it into a header field, and whoever checks may have let
 * anything pass. */
static void take_name(struct login *l, struct slice name)
{
	struct buf b = BUF_ON(l->name);

	if (name.p != NULL)
		buf_add(&b, name);
	if (name.p == NULL || b.cut)
		b.n = strlen(l->name);
	for (char *p = l->name; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
}

static void on_success(void *arg, struct slice name)
{
	struct session *s = arg;
	struct login *l = s->login;

	l->dialogue = NULL;
	l->good = true;
	take_name(l, name);
	penalties_succeeded(penalties(s), &s->client, clock_ms() / 1000);
	log_login(s, LOG_LEVEL_INFO, "login", slice_z(l->name), NULL);
	session_say(s, SLICE("235 2.7.0 You are logged in\r\n"));
	session_done(s);
}

static void on_delay_end(evutil_socket_t fd, short what, void *arg)
{
	struct login *l = arg;
	struct session *s = l->session;

	(void)fd;
	(void)what;
	session_say(s, bytes_slice(&l->later));
	bytes_free(&l->later);
	session_done(s);
}

static void tell_later(struct session *s, int64_t ms)
{
	struct timeval tv = clock_until(clock_ms() + ms);

	if (s->login->later.failed)
		s->closing = true;
	if (ms > 0 && !s->closing)
		event_add(&s->login->delay, &tv);
	else
		on_delay_end(-1, 0, s->login);
}

static void on_failure(
    void *arg, enum auth_failure why, struct slice name, const struct smtp_reply *said)
{
	static const struct slice words[] = {
		[AUTH_DENIED] = SLICE("535 5.7.8 Login or password is wrong\r\n"),
		[AUTH_UNAVAILABLE] = SLICE(
		    "454 4.7.0 Logins cannot be checked now, try again later\r\n"),
		[AUTH_TOO_LONG] = SLICE("500 5.5.6 Response too long\r\n"),
	};
	struct session *s = arg;
	struct login *l = s->login;
	int64_t ms = 0;

	l->dialogue = NULL;
	if (name.p == NULL || name.n > LOGIN_MAX)
		name = slice_z(l->name);
	if (why == AUTH_DENIED)
		ms = punish(s, name);
	else
		log_login(s, LOG_LEVEL_WARN, "auth_trouble", name,
		    why == AUTH_TOO_LONG ? "too_long" : "unavailable");
	if (said != NULL)
		(void)smtp_reply_write(said, &l->later);
	else
		(void)bytes_add(&l->later, words[why]);
	tell_later(s, ms);
}

/* ---- challenge and response --------------------------------------------------------------- */

/* What stands on the line must be base64, whoever says it: a CR in it would be a second reply. */
static bool is_base64(struct slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (!ascii_alpha(c) && !ascii_digit(c) && c != '+' && c != '/' && c != '=')
			return false;
	}
	return true;
}

static void say_challenge(struct session *s, struct slice base64)
{
	struct bytes *out = stream_output(s->stream);

	(void)bytes_add(out, SLICE("334 "));
	(void)bytes_add(out, base64);
	if (!bytes_add(out, SLICE("\r\n")))
		s->closing = true;
	s->owing = true;
}

static void on_challenge(void *arg, struct slice base64)
{
	struct session *s = arg;
	struct login *l = s->login;

	if (!is_base64(base64) || base64.n > AUTH_LINE_MAX) {
		log_login(s, LOG_LEVEL_ERROR, "auth_trouble", slice_z(l->name), "bad_challenge");
		refuse(s, SLICE("454 4.7.0 Logins cannot be checked now, try again later\r\n"));
	} else {
		l->expecting = true;
		say_challenge(s, base64);
	}
	session_done(s);
}

static const struct auth_events events = {
	.on_challenge = on_challenge, .on_success = on_success, .on_failure = on_failure
};

/* Is it base64? The first response says who it is. The octets, among them passwords, stay nowhere.
 */
static bool look_into(struct login *l, struct slice base64)
{
	char octets[AUTH_LINE_MAX / 4 * 3 + 4];
	struct buf b = BUF_ON(octets), name = BUF_ON(l->name);
	bool good;

	good = base64_read(base64, &b);
	if (good && l->responses == 1)
		l->mechanism->login(buf_slice(&b), &name);
	explicit_bzero(octets, b.n);
	return good;
}

static bool has_bound(const struct login *l)
{
	return l->responses <= RESPONSES_MAX;
}

/* A response: from the command's own line, or a line of its own. */
static bool take_response(struct session *s, struct slice base64)
{
	struct login *l = s->login;

	l->responses++;
	if (!look_into(l, base64))
		refuse(s, SLICE("501 5.5.2 That is no base64\r\n"));
	else if (!has_bound(l))
		refuse(s, SLICE("535 5.7.8 Too many responses\r\n"));
	else
		return true;
	return false;
}

void auth_line(struct session *s, struct slice line)
{
	struct login *l = s->login;

	l->expecting = false;
	if (slice_eq(line, SLICE("*")))
		refuse(s, SLICE("501 5.7.0 Given up, as you wish\r\n"));
	else if (session_has_input(s) && found_violation(s, FOUND_PIPELINING)) {
		finish(l);
		session_bye(s, SLICE("554 5.5.0 You sent more before this was answered\r\n"));
	} else if (take_response(s, line)) {
		s->busy = true;
		auth_respond(l->dialogue, line);
	}
}

bool auth_expected(const struct session *s)
{
	return s->login != NULL && s->login->expecting;
}

size_t auth_line_max(const struct session *s, struct slice in, size_t usual)
{
	size_t max = usual;

	if (auth_expected(s))
		max = AUTH_LINE_MAX;
	else if (s->listener->auth != NULL && slice_istarts(in, SLICE("AUTH ")))
		max = COMMAND_MAX;
	return max > usual ? max : usual;
}

bool auth_bad_line(struct session *s, struct slice in, enum line_status why)
{
	bool mine = auth_expected(s) ||
	    (s->listener->auth != NULL && slice_istarts(in, SLICE("AUTH ")));

	if (auth_expected(s))
		finish(s->login);
	if (!mine || why != LINE_LONG)
		return false;
	session_say(s, SLICE("500 5.5.6 Response too long\r\n"));
	return true;
}

/* ---- the command -------------------------------------------------------------------------- */

/* NULL: he may log in. */
static const char *refusal(struct session *s)
{
	if (s->listener->auth == NULL)
		return "502 5.5.1 Command not offered\r\n";
	if (s->state == SESSION_START || !s->esmtp)
		return "503 5.5.1 Say EHLO first\r\n";
	if (auth_good(s))
		return "503 5.5.1 You are logged in already\r\n";
	if (s->state != SESSION_READY)
		return "503 5.5.1 A transaction is under way\r\n";
	if (!allowed(s))
		return "504 5.5.4 Logins need TLS: say STARTTLS first\r\n";
	if (s->refusal != NULL)
		return "454 4.7.0 No logins for you now\r\n";
	if (auth_banned(s))
		return "421 4.7.0 Too many failed logins, try again later\r\n";
	if (mechanisms(s) == 0)
		return "454 4.7.0 Logins cannot be checked now, try again later\r\n";
	return NULL;
}

/* Of a session that has tried before, or anew. False without memory. */
static bool login_ready(struct session *s, const struct mechanism *m)
{
	struct login *l = s->login;

	if (l == NULL && (l = calloc(1, sizeof(*l))) == NULL)
		return false;
	if (s->login == NULL)
		event_assign(&l->delay, s->worker->base, -1, 0, on_delay_end, l);
	s->login = l;
	l->session = s;
	l->mechanism = m;
	l->expecting = false;
	l->responses = 0;
	l->name[0] = '\0';
	return true;
}

static void start(struct session *s, struct slice response)
{
	struct address server = identity_server(s);
	struct auth_request q = { .mechanism = s->login->mechanism,
		.client = &s->client,
		.server = &server,
		.secure = secure(s),
		.session = s->id,
		.response = response };

	/* Where it is the backend who is asked, his yes comes with a connection. */
	if (identity_relay(s) == NULL) {
		session_say(s, SLICE("454 4.3.0 Out of memory, try again later\r\n"));
		return;
	}
	q.relay = s->relay;
	s->login->dialogue = auth_start(s->listener->auth, &q, &events, s);
	if (s->login->dialogue == NULL)
		session_say(s, SLICE("454 4.3.0 Out of memory, try again later\r\n"));
	else
		s->busy = true;
}

void command_auth(struct session *s, struct slice argument)
{
	struct slice response = argument, name = slice_cut(&response, ' ');
	const struct mechanism *m = mechanism_find(name);
	const char *words = refusal(s);

	if (words != NULL)
		session_say(s, slice_z(words));
	else if (name.n == 0 || slice_find(response, ' ') < response.n)
		session_say(s, SLICE("501 5.5.4 Syntax: AUTH mechanism [response]\r\n"));
	else if (m == NULL || !(m->bit & mechanisms(s)))
		session_say(s, SLICE("504 5.5.4 This mechanism is not offered\r\n"));
	else if (!login_ready(s, m))
		session_say(s, SLICE("454 4.3.0 Out of memory, try again later\r\n"));
	else if (response.n == 0)
		start(s, (struct slice){ 0 });
	else {
		if (slice_eq(response, SLICE("="))) /* RFC 4954 4: a response of no octets */
			response = SLICE("");
		if (take_response(s, response))
			start(s, response);
	}
}

void auth_drop(struct session *s)
{
	struct login *l = s->login;

	s->login = NULL;
	if (l == NULL)
		return;
	/* A connection that he logged in on is no more his. */
	if (s->relay != NULL && relay_adopted(s->relay))
		relay_free(&s->relay);
	auth_cancel(&l->dialogue);
	event_del(&l->delay);
	bytes_free(&l->later);
	free(l);
}
