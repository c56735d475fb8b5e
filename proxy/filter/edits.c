#include "config.h"

#include "proxy/filter/edits.h"

#include <stdlib.h>

#include "proxy/filter/new_body.h"
#include "weir/smtp_syntax.h"

struct edit {
	enum milter_reply_code code;
	uint32_t index;
	char *what; /* field name, or address */
	char *with; /* value, parameters, or reason */
};

struct edits {
	const struct proxy_settings *settings;
	bool leading_space;
	struct edit *v;
	size_t n, cap, bytes;
	bool envelope, header; /* what they touch */
	struct new_body body;
	bool body_over; /* another edit came behind it */
	bool no_memory; /* kept until edits_apply */
};

struct edits *edits_new(const struct proxy_settings *settings, bool leading_space)
{
	struct edits *e = calloc(1, sizeof(*e));

	if (e != NULL) {
		e->settings = settings;
		e->leading_space = leading_space;
	}
	return e;
}

void edits_free(struct edits **e)
{
	if (*e == NULL)
		return;
	for (size_t i = 0; i < (*e)->n; i++) {
		free((*e)->v[i].what);
		free((*e)->v[i].with);
	}
	free((*e)->v);
	new_body_free(&(*e)->body);
	free(*e);
	*e = NULL;
}

/* ---- taking edits in ------------------------------------------------------------------------ */

static bool keep(
    struct edits *e, const struct milter_reply *r, struct slice what, struct slice with)
{
	struct edit one = { .code = r->code, .index = r->index };

	if (e->n == e->cap) {
		size_t cap = e->cap > 0 ? e->cap * 2 : 8;
		struct edit *grown = realloc(e->v, cap * sizeof(*grown));

		if (grown == NULL)
			return false;
		e->v = grown;
		e->cap = cap;
	}
	one.what = slice_dup(what);
	one.with = slice_dup(with);
	if (one.what == NULL || one.with == NULL) {
		free(one.what);
		free(one.with);
		return false;
	}
	e->v[e->n++] = one;
	e->bytes += what.n + with.n;
	return true;
}

static bool one_of(struct slice keyword, const char *const words[2])
{
	return slice_ieq(keyword, slice_z(words[0])) || slice_ieq(keyword, slice_z(words[1]));
}

/* Those parameters of text whose keyword is (or, with wanted false, is not) one of the two. */
static bool parameters_select(
    struct slice text, const char *const words[2], bool wanted, struct bytes *out)
{
	while (text.n > 0) {
		struct slice one = slice_cut(&text, ' ');
		struct slice keyword = slice_sub(one, 0, slice_find(one, '='));

		if (one.n == 0 || one_of(keyword, words) != wanted)
			continue;
		if (out->n > 0)
			(void)bytes_addc(out, ' ');
		(void)bytes_add(out, one);
	}
	return !out->failed;
}

static const char *const dsn_from[2] = { "RET", "ENVID" };
static const char *const dsn_rcpt[2] = { "NOTIFY", "ORCPT" };

/* An address that cannot stand on an SMTP line is the filter's fault, and known at once. */
static int add_envelope(struct edits *e, const struct milter_reply *r, struct err *err)
{
	bool from = r->code == MILTER_CHGFROM;
	struct smtp_parameter parsed[SMTP_PARAMETERS_MAX];
	struct bytes parameters = { 0 };
	struct slice text = slice_trim(r->parameters);
	struct smtp_path path;
	size_t n;
	bool kept;

	if (smtp_address_parse(
		r->address, from ? SMTP_REVERSE_PATH : SMTP_FORWARD_PATH, &path, err) < 0 ||
	    smtp_parameters_parse(text, parsed, &n, err) < 0)
		return err_prefix(err, "%s", milter_reply_name(r->code));
	kept = parameters_select(text, from ? dsn_from : dsn_rcpt, true, &parameters) &&
	    keep(e, r, path.address, bytes_slice(&parameters));
	bytes_free(&parameters);
	e->envelope = true;
	e->no_memory |= !kept;
	return 0;
}

static int add_header(struct edits *e, const struct milter_reply *r)
{
	e->header = true;
	e->no_memory |= !keep(e, r, r->name, r->value);
	return 0;
}

static int add_body(struct edits *e, const struct milter_reply *r, struct err *err)
{
	if (e->body_over)
		return err_set(err, "REPLBODY goes on after another edit");
	return new_body_add(&e->body, e->settings, r->value, err);
}

int edits_add(struct edits *e, const struct milter_reply *r, struct err *err)
{
	if (r->code == MILTER_REPLBODY)
		return add_body(e, r, err);
	e->body_over = e->body.spool != NULL;
	if (e->n >= EDITS_MAX ||
	    e->bytes + r->name.n + r->value.n + r->address.n + r->parameters.n > EDITS_BYTES_MAX)
		return err_set(
		    err, "more than %d edits or %d octets of them", EDITS_MAX, EDITS_BYTES_MAX);
	if (r->code == MILTER_CHGFROM || r->code == MILTER_ADDRCPT ||
	    r->code == MILTER_ADDRCPT_PAR || r->code == MILTER_DELRCPT)
		return add_envelope(e, r, err);
	return add_header(e, r);
}

/* ---- applying ------------------------------------------------------------------------------- */

struct draft {
	struct mail mail; /* a copy of what is edited */
	size_t own;       /* where the own Received stands, or would */
	bool leading_space;
};

/* "Name: value" CR LF. A value may hold lines ended by LF, CR LF or CR. Behind the first, blank
 * ones are dropped and the others begin with white space, for else they would be fields of their
 * own, or end the header section. */
static bool field_line(struct slice name, struct slice value, bool verbatim, struct bytes *out)
{
	bool first = true;

	(void)bytes_add(out, name);
	(void)bytes_add(out, verbatim ? SLICE(":") : SLICE(": "));
	for (size_t at = 0; at <= value.n;) {
		size_t end = at;
		struct slice line;

		while (end < value.n && value.p[end] != '\n' && value.p[end] != '\r')
			end++;
		line = slice_sub(value, at, end - at);
		at = end + 1;
		if (!first && slice_trim(line).n == 0)
			continue;
		if (!first)
			(void)bytes_add(out, SLICE("\r\n"));
		if (!first && line.p[0] != ' ' && line.p[0] != '\t')
			(void)bytes_addc(out, '\t');
		(void)bytes_add(out, line);
		first = false;
	}
	return bytes_add(out, SLICE("\r\n")) && !out->failed;
}

static bool field_put(
    struct draft *d, size_t at, bool change, struct slice name, struct slice value, bool verbatim)
{
	struct bytes line = { 0 };
	bool done = field_line(name, value, verbatim, &line) &&
	    (change ? mail_change_field(&d->mail, at, bytes_slice(&line))
		    : mail_insert_field(&d->mail, at, bytes_slice(&line)));

	bytes_free(&line);
	return done;
}

static bool apply_addheader(struct draft *d, const struct edit *e)
{
	return field_put(
	    d, d->mail.field_count, false, slice_z(e->what), slice_z(e->with), d->leading_space);
}

/* Without an own Received the slot that filters count is not there: what goes behind it moves up.
 */
static bool apply_insheader(struct draft *d, const struct edit *e)
{
	bool above = e->index <= d->own;
	size_t at = e->index - (above || d->mail.own_received ? 0 : 1);

	if (at > d->mail.field_count)
		at = d->mail.field_count;
	if (!field_put(d, at, false, slice_z(e->what), slice_z(e->with), d->leading_space))
		return false;
	d->own += above;
	return true;
}

/* The nth field of that name that filters see; field_count where there is none. */
static size_t nth_field(const struct draft *d, struct slice name, uint32_t nth)
{
	const struct mail *m = &d->mail;
	uint32_t left = nth > 0 ? nth : 1;

	for (size_t i = 0; i < m->field_count; i++) {
		const struct mail_field *f = &m->fields[i];

		if ((m->own_received && i == d->own) ||
		    !slice_ieq(slice_of(f->line, f->name_n), name))
			continue;
		if (--left == 0)
			return i;
	}
	return m->field_count;
}

static bool apply_chgheader(struct draft *d, const struct edit *e)
{
	struct slice name = slice_z(e->what), value = slice_z(e->with);
	size_t at = nth_field(d, name, e->index);
	bool there = at < d->mail.field_count;

	if (value.n > 0)
		return field_put(d, at, there, name, value, d->leading_space);
	if (there) {
		mail_remove_field(&d->mail, at);
		d->own -= at < d->own;
	}
	return true;
}

/* Of the arguments only RET and ENVID count; what the client said otherwise (BODY, SMTPUTF8) holds
 * for the content still. */
static bool apply_chgfrom(struct draft *d, const struct edit *e)
{
	struct slice was = slice_z(d->mail.parameters != NULL ? d->mail.parameters : "");
	struct bytes parameters = { 0 };
	bool done;

	if (e->with[0] == '\0')
		(void)bytes_add(&parameters, was);
	else if (parameters_select(was, dsn_from, false, &parameters)) {
		(void)bytes_add(&parameters, parameters.n > 0 ? SLICE(" ") : SLICE(""));
		(void)bytes_add(&parameters, slice_z(e->with));
	}
	done = !parameters.failed &&
	    mail_set_reverse_path(&d->mail, slice_z(e->what), bytes_slice(&parameters));
	bytes_free(&parameters);
	return done;
}

/* The local part as it is, the domain without case (RFC 5321 2.4). */
static bool same_address(struct slice a, struct slice b)
{
	size_t at = a.n;

	while (at > 0 && a.p[at - 1] != '@')
		at--;
	return a.n == b.n && slice_eq(slice_sub(a, 0, at), slice_sub(b, 0, at)) &&
	    slice_ieq(a, b) && (at > 0 || slice_eq(a, b));
}

static bool apply_addrcpt(struct draft *d, const struct edit *e)
{
	for (size_t i = 0; i < d->mail.recipient_count; i++)
		if (same_address(slice_z(d->mail.recipients[i].address), slice_z(e->what)))
			return true;
	return mail_add_recipient(&d->mail, slice_z(e->what), slice_z(e->with));
}

static bool apply_delrcpt(struct draft *d, const struct edit *e)
{
	(void)mail_remove_recipient(&d->mail, slice_z(e->what));
	return true;
}

static bool apply_quarantine(struct draft *d, const struct edit *e)
{
	return mail_mark_quarantine(&d->mail, slice_z(e->with));
}

static bool apply_one(struct draft *d, const struct edit *e)
{
	static const struct {
		enum milter_reply_code code;
		bool (*apply)(struct draft *d, const struct edit *e);
	} how[] = {
		{ MILTER_ADDHEADER, apply_addheader },
		{ MILTER_INSHEADER, apply_insheader },
		{ MILTER_CHGHEADER, apply_chgheader },
		{ MILTER_CHGFROM, apply_chgfrom },
		{ MILTER_ADDRCPT, apply_addrcpt },
		{ MILTER_ADDRCPT_PAR, apply_addrcpt },
		{ MILTER_DELRCPT, apply_delrcpt },
		{ MILTER_QUARANTINE, apply_quarantine },
	};

	for (size_t i = 0; i < COUNT(how); i++)
		if (how[i].code == e->code)
			return how[i].apply(d, e);
	return true;
}

static bool draft_header(struct draft *d, const struct mail *m)
{
	for (size_t i = 0; i < m->field_count; i++)
		if (!mail_insert_field(&d->mail, i, slice_of(m->fields[i].line, m->fields[i].n)))
			return false;
	return true;
}

static bool draft_envelope(struct draft *d, const struct mail *m)
{
	if (!mail_set_reverse_path(&d->mail,
		slice_z(m->reverse_path != NULL ? m->reverse_path : ""),
		slice_z(m->parameters != NULL ? m->parameters : "")))
		return false;
	for (size_t i = 0; i < m->recipient_count; i++)
		if (!mail_add_recipient(&d->mail, slice_z(m->recipients[i].address),
			slice_z(m->recipients[i].parameters)))
			return false;
	return true;
}

static void swap_header(struct mail *a, struct mail *b)
{
	struct mail was = *a;

	a->fields = b->fields;
	a->field_count = b->field_count;
	a->field_cap = b->field_cap;
	b->fields = was.fields;
	b->field_count = was.field_count;
	b->field_cap = was.field_cap;
}

static void swap_envelope(struct mail *a, struct mail *b)
{
	struct mail was = *a;

	a->reverse_path = b->reverse_path;
	a->parameters = b->parameters;
	a->recipients = b->recipients;
	a->recipient_count = b->recipient_count;
	a->recipient_cap = b->recipient_cap;
	b->reverse_path = was.reverse_path;
	b->parameters = was.parameters;
	b->recipients = was.recipients;
	b->recipient_count = was.recipient_count;
	b->recipient_cap = was.recipient_cap;
}

/* From here on nothing can fail. */
static void commit(struct edits *e, struct draft *d, struct mail *m, size_t *own)
{
	if (e->header)
		swap_header(m, &d->mail);
	if (e->envelope) {
		swap_envelope(m, &d->mail);
		m->envelope_edited = true;
	}
	if (e->body.spool != NULL) {
		struct spool *was = m->body;

		m->body = e->body.spool;
		e->body.spool = was;
		m->separator |= spool_size(m->body) > 0;
	}
	*own = d->own;
}

int edits_apply(struct edits *e, struct mail *m, size_t *own_received, struct err *err)
{
	struct draft d = { .mail.own_received = m->own_received,
		.own = *own_received,
		.leading_space = e->leading_space };
	bool done = !e->no_memory && (!e->header || draft_header(&d, m)) &&
	    (!e->envelope || draft_envelope(&d, m));
	int rc;

	for (size_t i = 0; done && i < e->n; i++)
		done = apply_one(&d, &e->v[i]);
	rc = done ? new_body_end(&e->body, err) : err_set(err, "no memory for the edits");
	if (rc == 0)
		commit(e, &d, m, own_received);
	mail_free(&d.mail);
	return rc;
}

bool mail_mark_quarantine(struct mail *m, struct slice reason)
{
	struct bytes line = { 0 };
	bool done;

	if (slice_trim(reason).n == 0)
		reason = SLICE("a filter asked for it");
	done = field_line(SLICE(QUARANTINE_FIELD), slice_trim(reason), false, &line) &&
	    mail_insert_field(m, m->field_count, bytes_slice(&line));
	bytes_free(&line);
	return done;
}
