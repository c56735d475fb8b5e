#include "config.h"

#include "milterd/milter.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libmilter/mfapi.h>

#include "milterd/daemon.h"
#include "milterd/edit_plan.h"
#include "milterd/reply_lines.h"
#include "milterd/verdict_line.h"
#include "weir/log.h"

#define EDITS (SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_ADDRCPT | SMFIF_DELRCPT | SMFIF_QUARANTINE)

/* A body limit below this is met often enough that telling the MTA to send no more (SKIP) is worth
 * a reply to every chunk. */
enum { SKIP_WORTH = 8 << 20 };

struct session {
	struct exam *exam; /* NULL: this session is one too many, or came while we stop */
	unsigned long actions, protocol; /* as agreed on */
	bool in_message;
	bool turned_away; /* a message that began while we drain */
	uint64_t number;
	unsigned transaction, refused;
	bool refused_for_now; /* the last refusal was a temporary one */
	char id[40], queue_id[64];
	struct field_names names;
};

/* ---- negotiation ------------------------------------------------------------------------- */

static bool reads_size(const struct ruleset *rs)
{
	size_t n;
	const struct fact_ref *refs = ruleset_facts(rs, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(refs[i].name, "message.size") == 0)
			return true;
	return false;
}

/* What the MTA need not wait for, and what it need not send. Client, greeting, envelope and header
 * are always wanted: the verdict line and the removal of forged fields read them. */
static unsigned long protocol_for(const struct engine *g)
{
	static const struct {
		enum stage stage;
		unsigned long no_reply;
	} replies[] = {
		{ STAGE_CONNECT, SMFIP_NR_CONN },
		{ STAGE_HELO, SMFIP_NR_HELO },
		{ STAGE_MAIL, SMFIP_NR_MAIL },
		{ STAGE_RCPT, SMFIP_NR_RCPT },
		{ STAGE_DATA, SMFIP_NODATA },
		{ STAGE_HEADER, SMFIP_NR_EOH },
	};
	unsigned long p = SMFIP_NOUNKNOWN | SMFIP_NR_HDR;

	for (size_t i = 0; i < COUNT(replies); i++)
		if (!ruleset_acts_at(g->rules, replies[i].stage))
			p |= replies[i].no_reply;
	if (!ruleset_reads(g->rules, STAGE_BODY) && !ruleset_reads(g->rules, STAGE_EOM))
		return p | SMFIP_NOBODY;
	return p |
	    (g->message_bytes < SKIP_WORTH && !reads_size(g->rules) ? SMFIP_SKIP : SMFIP_NR_BODY);
}

static struct session *session_new(struct milterd *d)
{
	struct session *s = calloc(1, sizeof(*s));
	struct engine *g;

	if (s == NULL || (g = daemon_session_begin(d, &s->number)) == NULL)
		return s;
	s->protocol = protocol_for(g);
	s->exam = exam_new(g);
	engine_unref(&g);
	if (s->exam == NULL)
		daemon_session_end(d);
	return s;
}

/* A session that is refused asks for every reply: the first one tells. */
static sfsistat on_negotiate(SMFICTX *ctx, unsigned long f0, unsigned long f1, unsigned long f2,
    unsigned long f3, unsigned long *pf0, unsigned long *pf1, unsigned long *pf2,
    unsigned long *pf3)
{
	struct session *s = session_new(the_milterd);

	(void)f2;
	(void)f3;
	if (s == NULL || smfi_setpriv(ctx, s) != MI_SUCCESS) {
		free(s);
		return SMFIS_REJECT;
	}
	if (s->exam == NULL)
		log_event(LOG_LEVEL_WARN, "session", "result", "refused", "reason",
		    "too many sessions, or stopping", NULL);
	s->actions = EDITS & f0;
	s->protocol = (s->protocol | SMFIP_HDR_LEADSPC) & f1;
	*pf0 = s->actions;
	*pf1 = s->protocol;
	*pf2 = *pf3 = 0;
	return SMFIS_CONTINUE;
}

/* ---- replies ----------------------------------------------------------------------------- */

/* The text of a reject or tempfail; without one the MTA has its own. To be called right before the
 * return: libmilter keeps the text until it can use it, be it for another message. */
static void set_reply(SMFICTX *ctx, struct slice text)
{
	struct reply_lines r;
	char *l[REPLY_LINES_MAX] = { NULL }, *enhanced;
	struct err e;
	int rc;

	if (text.p == NULL)
		return;
	if (reply_lines_make(text, &r, &e) < 0) {
		log_event(LOG_LEVEL_WARN, "reply", "error", e.text, NULL);
		return;
	}
	for (size_t i = 0; i < r.n; i++)
		l[i] = r.line[i];
	enhanced = r.enhanced[0] != '\0' ? r.enhanced : NULL;
	if (r.n == 1)
		rc = smfi_setreply(ctx, r.code, enhanced, l[0]);
	else /* a list of as many as there are, ended by NULL */
		rc = smfi_setmlreply(ctx, r.code, enhanced, l[0], l[1], l[2], l[3], l[4], l[5],
		    l[6], l[7], l[8], l[9], l[10], l[11], l[12], l[13], l[14], l[15], l[16], l[17],
		    l[18], l[19], l[20], l[21], l[22], l[23], l[24], l[25], l[26], l[27], l[28],
		    l[29], l[30], l[31], NULL);
	if (rc != MI_SUCCESS)
		log_event(
		    LOG_LEVEL_WARN, "reply", "error", "libmilter refused it", "reply", l[0], NULL);
}

static sfsistat unless(const struct session *s, unsigned long no_reply, sfsistat status)
{
	return (s->protocol & no_reply) != 0 ? SMFIS_NOREPLY : status;
}

/* What a verdict is called in the milter protocol, as far as it has a name there. */
static const sfsistat statuses[] = {
	[ACTION_DELIVER] = SMFIS_CONTINUE,
	[ACTION_TAG] = SMFIS_CONTINUE,
	[ACTION_QUARANTINE] = SMFIS_CONTINUE,
	[ACTION_REJECT] = SMFIS_REJECT,
	[ACTION_TEMPFAIL] = SMFIS_TEMPFAIL,
	[ACTION_DISCARD] = SMFIS_DISCARD,
	[ACTION_ACCEPT] = SMFIS_ACCEPT,
};

/* ---- the life of a message ---------------------------------------------------------------- */

static const char *macro(SMFICTX *ctx, const char *name)
{
	return smfi_getsymval(ctx, (char *)name);
}

static struct slice macro_text(SMFICTX *ctx, const char *name)
{
	const char *value = macro(ctx, name);

	return value != NULL ? slice_z(value) : SLICE("");
}

/* Postfix names its queue file late; whoever has a name last is right. */
static void note_queue_id(SMFICTX *ctx, struct session *s)
{
	const char *id = macro(ctx, "i");

	if (id != NULL && id[0] != '\0')
		(void)snprintf(s->queue_id, sizeof(s->queue_id), "%s", id);
}

static void message_forget(struct session *s)
{
	exam_reset(s->exam);
	bytes_free(&s->names.text);
	s->names = (struct field_names){ 0 };
	s->in_message = s->turned_away = false;
	s->refused = 0;
	s->queue_id[0] = '\0';
}

/* The verdict is told: log it, forget the message. */
static void message_end(struct session *s)
{
	enum action action = exam_verdict(s->exam)->action;

	verdict_line(s->exam, s->id, s->queue_id, false);
	if (s->in_message)
		daemon_message_end(the_milterd, (int)action);
	message_forget(s);
}

/* The client went, or began anew. Where all recipients had been refused, that was the verdict. */
static void message_abort(struct session *s)
{
	size_t n;

	if (!s->in_message) {
		s->turned_away = false;
		return;
	}
	(void)exam_recipients(s->exam, &n);
	verdict_line(s->exam, s->id, s->queue_id, n > 0 || s->refused == 0);
	daemon_message_end(the_milterd,
	    n > 0 || s->refused == 0 ? -1
		: s->refused_for_now ? ACTION_TEMPFAIL
				     : ACTION_REJECT);
	message_forget(s);
}

/* Rules may hold a client up, whether or not they end the matter. */
static void delay(struct session *s)
{
	daemon_delay(the_milterd, exam_verdict(s->exam)->delay_ms);
}

/* A verdict before the end of the message, as this stage can say it. What edits the message has to
 * wait for its end, and there is no discarding of a whole session. */
static sfsistat conclude(SMFICTX *ctx, struct session *s, bool session_wide)
{
	const struct verdict *v = exam_verdict(s->exam);
	sfsistat status = statuses[v->action];

	if (status == SMFIS_CONTINUE || (status == SMFIS_DISCARD && session_wide) ||
	    (status == SMFIS_ACCEPT && v->edit_count > 0))
		return SMFIS_CONTINUE;
	if (status == SMFIS_REJECT || status == SMFIS_TEMPFAIL)
		set_reply(ctx, v->reply);
	message_end(s);
	return status;
}

/* What to say after a stage's rules ran. Where no reply was agreed on, a verdict is said at the
 * next stage that has one. */
static sfsistat answer(
    SMFICTX *ctx, struct session *s, unsigned long no_reply, bool final, bool session_wide)
{
	if ((s->protocol & no_reply) != 0)
		return SMFIS_NOREPLY;
	delay(s);
	return final ? conclude(ctx, s, session_wide) : SMFIS_CONTINUE;
}

/* ---- session ----------------------------------------------------------------------------- */

/* The verified name: Postfix says {client_name}, Sendmail {client_resolve}, others the host. */
static struct slice client_name(SMFICTX *ctx, const char *host)
{
	const char *resolved = macro(ctx, "{client_resolve}"), *name = macro(ctx, "{client_name}");

	if (name == NULL)
		name = host;
	if (name == NULL || name[0] == '[' || strcmp(name, "unknown") == 0 ||
	    (resolved != NULL && strcmp(resolved, "OK") != 0))
		return SLICE("");
	return slice_z(name);
}

static struct address client_address(SMFICTX *ctx, const struct sockaddr *sa)
{
	struct address a = address_of(sa);
	uint64_t port;

	if (a.family == AF_UNSPEC)
		(void)address_parse(macro_text(ctx, "{client_addr}"), &a, NULL);
	if (a.port == 0 && slice_number(macro_text(ctx, "{client_port}"), 65535, &port) == 0)
		a.port = (uint16_t)port;
	return a;
}

static void note_tls(SMFICTX *ctx, struct session *s)
{
	exam_tls(s->exam, macro_text(ctx, "{tls_version}"), macro_text(ctx, "{cipher}"));
}

/* weir-proxy says so of every client, others of none. */
static void note_findings(SMFICTX *ctx, struct session *s, bool at_end)
{
	exam_findings(s->exam, slice_z(macro(ctx, "{weir_findings}")), at_end);
}

static sfsistat on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *sa)
{
	struct session *s = smfi_getpriv(ctx);
	struct client c;

	if (s == NULL || s->exam == NULL)
		return SMFIS_TEMPFAIL;
	c = (struct client){
		.address = client_address(ctx, sa),
		.name = client_name(ctx, host),
		.listener = macro_text(ctx, "{daemon_name}"),
	};
	(void)snprintf(s->id, sizeof(s->id), "%06llx.0", (unsigned long long)s->number);
	return answer(ctx, s, SMFIP_NR_CONN, exam_connect(s->exam, &c), true);
}

static sfsistat on_helo(SMFICTX *ctx, char *name)
{
	struct session *s = smfi_getpriv(ctx);

	if (s == NULL || s->exam == NULL)
		return SMFIS_TEMPFAIL;
	message_abort(s);
	note_tls(ctx, s);
	return answer(ctx, s, SMFIP_NR_HELO, exam_helo(s->exam, slice_z(name)), true);
}

/* ---- envelope ---------------------------------------------------------------------------- */

static uint64_t declared_size(char **argv)
{
	uint64_t size;

	for (size_t i = 1; argv[i] != NULL; i++)
		if (slice_istarts(slice_z(argv[i]), SLICE("SIZE=")) &&
		    slice_number(slice_z(argv[i] + 5), UINT64_MAX, &size) == 0)
			return size;
	return 0;
}

static sfsistat on_mail(SMFICTX *ctx, char **argv)
{
	struct session *s = smfi_getpriv(ctx);
	bool final;

	if (s == NULL || s->exam == NULL)
		return SMFIS_TEMPFAIL;
	message_abort(s);
	s->transaction++;
	(void)snprintf(
	    s->id, sizeof(s->id), "%06llx.%u", (unsigned long long)s->number, s->transaction);
	if ((s->turned_away = !daemon_message_begin(the_milterd)))
		return unless(s, SMFIP_NR_MAIL, SMFIS_TEMPFAIL);
	s->in_message = true;
	note_queue_id(ctx, s);
	note_tls(ctx, s);
	note_findings(ctx, s, false);
	final = exam_mail(s->exam, slice_z(argv[0]), declared_size(argv),
	    macro_text(ctx, "{auth_authen}"), macro_text(ctx, "{auth_type}"));
	return answer(ctx, s, SMFIP_NR_MAIL, final, false);
}

static sfsistat refuse(SMFICTX *ctx, struct session *s, struct slice rcpt, struct slice reply)
{
	s->refused++;
	refusal_line(s->exam, s->id, s->queue_id, rcpt, reply, s->refused_for_now);
	daemon_recipient_refused(the_milterd);
	delay(s);
	set_reply(ctx, reply);
	return s->refused_for_now ? SMFIS_TEMPFAIL : SMFIS_REJECT;
}

static sfsistat on_rcpt(SMFICTX *ctx, char **argv)
{
	struct session *s = smfi_getpriv(ctx);
	struct slice reply;
	bool refused;

	if (s == NULL || s->exam == NULL)
		return SMFIS_TEMPFAIL;
	if (s->turned_away)
		return unless(s, SMFIP_NR_RCPT, SMFIS_TEMPFAIL);
	note_queue_id(ctx, s);
	refused = exam_rcpt(s->exam, slice_z(argv[0]), &reply, &s->refused_for_now);
	if ((s->protocol & SMFIP_NR_RCPT) != 0)
		return SMFIS_NOREPLY;
	if (refused)
		return refuse(ctx, s, slice_z(argv[0]), reply);
	return answer(ctx, s, SMFIP_NR_RCPT, exam_final(s->exam), false);
}

static sfsistat on_data(SMFICTX *ctx)
{
	struct session *s = smfi_getpriv(ctx);

	if (s == NULL || s->exam == NULL || s->turned_away)
		return SMFIS_TEMPFAIL;
	note_queue_id(ctx, s);
	return answer(ctx, s, SMFIP_NR_DATA, exam_data(s->exam), false);
}

/* ---- content ----------------------------------------------------------------------------- */

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
	struct session *s = smfi_getpriv(ctx);

	if (s == NULL || s->exam == NULL)
		return SMFIS_TEMPFAIL;
	if (!s->turned_away) {
		if (!field_names_add(&s->names, slice_z(name)))
			exam_give_up(s->exam, "too many header fields");
		exam_field(
		    s->exam, slice_z(name), slice_z(value), (s->protocol & SMFIP_HDR_LEADSPC) != 0);
	}
	return unless(s, SMFIP_NR_HDR, SMFIS_CONTINUE);
}

static sfsistat on_eoh(SMFICTX *ctx)
{
	struct session *s = smfi_getpriv(ctx);

	if (s == NULL || s->exam == NULL)
		return SMFIS_TEMPFAIL;
	if (s->turned_away)
		return unless(s, SMFIP_NR_EOH, SMFIS_TEMPFAIL);
	note_queue_id(ctx, s);
	return answer(ctx, s, SMFIP_NR_EOH, exam_header_end(s->exam), false);
}

static sfsistat on_body(SMFICTX *ctx, unsigned char *octets, size_t n)
{
	struct session *s = smfi_getpriv(ctx);

	if (s == NULL || s->exam == NULL)
		return SMFIS_TEMPFAIL;
	if (!s->turned_away)
		exam_body(s->exam, slice_of(octets, n));
	/* Not before something was lost: a message that just fits must not read as whole when more
	 * of it would have come. */
	if ((s->protocol & SMFIP_SKIP) != 0 && !message_whole(exam_message(s->exam)))
		return SMFIS_SKIP;
	return unless(s, SMFIP_NR_BODY, SMFIS_CONTINUE);
}

static int step_do(SMFICTX *ctx, const struct step *step)
{
	char *name = (char *)step->name, *value = (char *)step->value;

	switch (step->kind) {
	case STEP_ADD_HEADER:
		return smfi_addheader(ctx, name, value);
	case STEP_CHANGE_HEADER:
		return smfi_chgheader(ctx, name, step->index, value);
	case STEP_ADD_RCPT:
		return smfi_addrcpt(ctx, value);
	case STEP_DELETE_RCPT:
		return smfi_delrcpt(ctx, value);
	case STEP_HOLD:
		return smfi_quarantine(ctx, value);
	}
	return MI_FAILURE;
}

static bool step_allowed(const struct session *s, const struct step *step)
{
	static const unsigned long bits[] = {
		[STEP_ADD_HEADER] = SMFIF_ADDHDRS,
		[STEP_CHANGE_HEADER] = SMFIF_CHGHDRS,
		[STEP_ADD_RCPT] = SMFIF_ADDRCPT,
		[STEP_DELETE_RCPT] = SMFIF_DELRCPT,
		[STEP_HOLD] = SMFIF_QUARANTINE,
	};

	return (s->actions & bits[step->kind]) != 0;
}

/* All of the verdict's edits, or none that counts: where one fails the message is deferred. */
static void edit(SMFICTX *ctx, struct session *s)
{
	struct edit_plan plan;

	edit_plan_make(&plan, s->exam, &s->names, (s->protocol & SMFIP_HDR_LEADSPC) != 0);
	if (plan.failed)
		exam_give_up(s->exam, "out of memory");
	for (size_t i = 0; i < plan.n && !plan.failed; i++) {
		if (!step_allowed(s, &plan.steps[i])) {
			exam_give_up(
			    s->exam, "the MTA does not offer an edit that the verdict needs");
			return;
		}
		if (step_do(ctx, &plan.steps[i]) != MI_SUCCESS) {
			exam_give_up(s->exam, "the MTA did not take an edit");
			return;
		}
	}
}

static sfsistat on_eom(SMFICTX *ctx)
{
	struct session *s = smfi_getpriv(ctx);
	const struct verdict *v;
	sfsistat status;

	if (s == NULL || s->exam == NULL || s->turned_away)
		return SMFIS_TEMPFAIL;
	note_queue_id(ctx, s);
	note_findings(ctx, s, true);
	exam_end(s->exam);
	delay(s);
	v = exam_verdict(s->exam);
	if (statuses[v->action] == SMFIS_CONTINUE || v->action == ACTION_ACCEPT)
		edit(ctx, s);
	v = exam_verdict(s->exam);
	status = statuses[v->action];
	if (status == SMFIS_REJECT || status == SMFIS_TEMPFAIL)
		set_reply(ctx, v->reply);
	message_end(s);
	return status;
}

/* ---- the end ----------------------------------------------------------------------------- */

static sfsistat on_abort(SMFICTX *ctx)
{
	struct session *s = smfi_getpriv(ctx);

	if (s != NULL && s->exam != NULL)
		message_abort(s);
	return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
	struct session *s = smfi_getpriv(ctx);

	if (s == NULL)
		return SMFIS_CONTINUE;
	(void)smfi_setpriv(ctx, NULL);
	if (s->exam != NULL) {
		message_abort(s);
		exam_free(&s->exam);
		daemon_session_end(the_milterd);
	}
	bytes_free(&s->names.text);
	free(s);
	return SMFIS_CONTINUE;
}

/* ---- libmilter --------------------------------------------------------------------------- */

/* 660, as chmod(1) is given it. */
static mode_t mode_of(int64_t digits)
{
	mode_t mode = 0;

	for (int64_t unit = 100; unit > 0; unit /= 10)
		mode = mode * 8 + (mode_t)(digits / unit % 10 & 7);
	return mode;
}

static int open_socket(const struct milterd_settings *s, struct err *e)
{
	const struct endpoint *ep = &s->socket;
	mode_t was;
	char text[ENDPOINT_TEXT_MAX];
	int rc;

	/* libmilter removes the socket that is there, whoever listens on it, and tells errors to
	 * the system log alone: so it is tried before, and errors have words. */
	if ((rc = endpoint_listen(ep, 1, 0600, false, e)) < 0)
		return -1;
	close(rc);
	was = umask(0777 & ~mode_of(s->socket_mode));
	rc = smfi_opensocket(ep->local);
	umask(was);
	if (rc != MI_SUCCESS)
		return err_set(
		    e, "%s: cannot be opened (the system log says why)", endpoint_text(ep, text));
	return 0;
}

int milter_open(const struct milterd_settings *s, struct err *e)
{
	static char name[] = "weir-milterd";
	const struct smfiDesc filter = {
		.xxfi_name = name,
		.xxfi_version = SMFI_VERSION,
		.xxfi_flags = EDITS,
		.xxfi_connect = on_connect,
		.xxfi_helo = on_helo,
		.xxfi_envfrom = on_mail,
		.xxfi_envrcpt = on_rcpt,
		.xxfi_header = on_header,
		.xxfi_eoh = on_eoh,
		.xxfi_body = on_body,
		.xxfi_eom = on_eom,
		.xxfi_abort = on_abort,
		.xxfi_close = on_close,
		.xxfi_data = on_data,
		.xxfi_negotiate = on_negotiate,
	};
	const struct endpoint *ep = &s->socket;
	char where[ENDPOINT_TEXT_MAX];

	if (ep->local)
		(void)snprintf(where, sizeof(where), "unix:%s", ep->path);
	else if (strchr(ep->host, ':') != NULL)
		(void)snprintf(where, sizeof(where), "inet6:%u@[%s]", ep->port, ep->host);
	else
		(void)snprintf(where, sizeof(where), "inet:%u@%s", ep->port, ep->host);
	if (smfi_setconn(where) != MI_SUCCESS || smfi_register(filter) != MI_SUCCESS)
		return err_set(e, "libmilter refuses %s", where);
	return open_socket(s, e);
}

int milter_run(void)
{
	return smfi_main() == MI_SUCCESS ? 0 : -1;
}
