#include "config.h"

#include "weir/milter.h"

enum { LENGTH = 4, HEAD = 5 };

static uint32_t get_u32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

void milter_reader_start(struct milter_reader *r, size_t packet_max, uint64_t body_max)
{
	*r = (struct milter_reader){ .need = HEAD, .packet_max = packet_max, .body_max = body_max };
}

/* The next piece of a REPLBODY; an empty one ends at once. */
static int read_body(
    struct milter_reader *r, struct slice in, size_t head, size_t *used, struct milter_packet *p)
{
	size_t n = in.n - head;

	if (n > r->body_left)
		n = (size_t)r->body_left;
	r->body_left -= n;
	r->need = r->body_left > 0 ? 1 : HEAD;
	*p = (struct milter_packet){ MILTER_REPLBODY, slice_sub(in, head, n) };
	*used = head + n;
	return 1;
}

static int begin_body(struct milter_reader *r, uint32_t length, struct slice in, size_t *used,
    struct milter_packet *p, struct err *e)
{
	r->body_left = length - 1;
	if (r->body_left > r->body_max)
		return err_set(e, "a REPLBODY of %u octets is past the limit of %llu", length - 1,
		    (unsigned long long)r->body_max);
	return read_body(r, in, HEAD, used, p);
}

int milter_read(
    struct milter_reader *r, struct slice in, size_t *used, struct milter_packet *p, struct err *e)
{
	uint32_t length;

	*used = 0;
	if (in.n < r->need)
		return 0;
	if (r->body_left > 0)
		return read_body(r, in, 0, used, p);
	length = get_u32(in.p);
	if (length == 0)
		return err_set(e, "a packet of length 0");
	if (in.p[LENGTH] == MILTER_REPLBODY)
		return begin_body(r, length, in, used, p, e);
	if (length > r->packet_max)
		return err_set(
		    e, "a packet of %u octets is past the limit of %zu", length, r->packet_max);
	r->need = LENGTH + (size_t)length;
	if (in.n < r->need)
		return 0;
	*p = (struct milter_packet){ in.p[LENGTH], slice_sub(in, HEAD, length - 1) };
	*used = r->need;
	r->need = HEAD;
	return 1;
}

/* A NUL-terminated text off the front of *s. */
static int take_str(struct slice *s, struct slice *out)
{
	size_t n = slice_find(*s, '\0');

	if (n == s->n)
		return -1;
	*out = slice_sub(*s, 0, n);
	*s = slice_sub(*s, n + 1, s->n);
	return 0;
}

static int take_u32(struct slice *s, uint32_t *out)
{
	if (s->n < 4)
		return -1;
	*out = get_u32(s->p);
	*s = slice_sub(*s, 4, s->n);
	return 0;
}

static int parse_symlist(struct slice rest, struct milter_symlist *lists, struct err *e)
{
	while (rest.n > 0) {
		uint32_t stage;
		struct slice names;

		if (take_u32(&rest, &stage) < 0 || take_str(&rest, &names) < 0)
			return err_set(e, "the macro list of the negotiation is cut off");
		if (stage < MILTER_STAGES)
			lists->names[stage] = names;
	}
	return 0;
}

int milter_options_parse(struct slice payload, const struct milter_options *offered,
    struct milter_options *agreed, struct milter_symlist *lists, struct err *e)
{
	struct milter_options o;
	struct milter_symlist l = { 0 };

	if (take_u32(&payload, &o.version) < 0 || take_u32(&payload, &o.actions) < 0 ||
	    take_u32(&payload, &o.protocol) < 0)
		return err_set(e, "the negotiation's answer is shorter than 12 octets");
	if (o.version < MILTER_VERSION_MIN || o.version > offered->version)
		return err_set(e, "version %u, offered was %u", o.version, offered->version);
	if ((o.actions & ~offered->actions) != 0)
		return err_set(
		    e, "actions 0x%x that were not offered", o.actions & ~offered->actions);
	o.protocol &= ~(uint32_t)MILTER_BIG_PACKETS;
	if ((o.protocol & ~offered->protocol) != 0)
		return err_set(
		    e, "protocol bits 0x%x that were not offered", o.protocol & ~offered->protocol);
	if (parse_symlist(payload, &l, e) < 0)
		return -1;
	if (o.version < 4)
		o.protocol |= MILTER_NO_DATA;
	if (o.version < 3)
		o.protocol |= MILTER_NO_UNKNOWN;
	*agreed = o;
	*lists = l;
	return 0;
}

/* Text of one line: nothing that could end a line or a field on the way out. */
static bool printable(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return true;
}

/* RFC 5322 2.2: printable US-ASCII except colon. */
static bool field_name(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == ':')
			return false;
	return s.n > 0;
}

static int parse_header(struct slice rest, struct milter_reply *r, struct err *e)
{
	if (r->code != MILTER_ADDHEADER && take_u32(&rest, &r->index) < 0)
		return err_set(e, "no index");
	if (take_str(&rest, &r->name) < 0 || take_str(&rest, &r->value) < 0 || rest.n > 0)
		return err_set(e, "not one name and one value");
	if (!field_name(r->name))
		return err_set(
		    e, "\"%.*s\" is no field name", SLICE_ARG(slice_sub(r->name, 0, 80)));
	return 0;
}

/* An address, brackets taken off, and where the reply has them its ESMTP parameters. */
static int parse_address(struct slice rest, struct milter_reply *r, struct err *e)
{
	bool more = r->code == MILTER_CHGFROM || r->code == MILTER_ADDRCPT_PAR;

	if (take_str(&rest, &r->address) < 0)
		return err_set(e, "no address");
	if (more && rest.n > 0 && take_str(&rest, &r->parameters) < 0)
		return err_set(e, "parameters without an end");
	if (rest.n > 0)
		return err_set(e, "surplus octets");
	if (!printable(r->address) || !printable(r->parameters))
		return err_set(e, "control octets in an address");
	if (r->address.n >= 2 && r->address.p[0] == '<' && r->address.p[r->address.n - 1] == '>')
		r->address = slice_sub(r->address, 1, r->address.n - 2);
	if (r->address.n == 0 && r->code != MILTER_CHGFROM)
		return err_set(e, "an empty address");
	return 0;
}

static int parse_reason(struct slice rest, struct milter_reply *r, struct err *e)
{
	return take_str(&rest, &r->value) == 0 && rest.n == 0 ? 0 : err_set(e, "not one text");
}

static int parse_body(struct slice rest, struct milter_reply *r, struct err *e)
{
	(void)e;
	r->value = rest;
	return 0;
}

/* libmilter's filters write "%%" for '%', since Sendmail prints the text as a format. A lone '%'
 * (rspamd) stays. */
static int parse_replycode(struct slice rest, struct milter_reply *r, struct err *e)
{
	struct bytes text = { .max = 65536 };
	int rc = -1;

	if (rest.n > 0 && rest.p[rest.n - 1] == '\0')
		rest.n--;
	if (slice_find(rest, '\0') < rest.n)
		return err_set(e, "a NUL inside the text");
	for (size_t i = 0; i < rest.n; i++) {
		(void)bytes_addc(&text, rest.p[i]);
		if (rest.p[i] == '%' && i + 1 < rest.n && rest.p[i + 1] == '%')
			i++;
	}
	if (text.failed)
		err_set(e, "the text is too long");
	else
		rc = smtp_reply_from_text(bytes_slice(&text), &r->smtp, e);
	bytes_free(&text);
	return rc;
}

static int parse_empty(struct slice rest, struct milter_reply *r, struct err *e)
{
	(void)r;
	return rest.n == 0 ? 0 : err_set(e, "%zu surplus octets", rest.n);
}

static const struct reply_form {
	enum milter_reply_code code;
	uint32_t action;
	const char *name;
	int (*parse)(struct slice rest, struct milter_reply *r, struct err *e);
} forms[] = {
	{ MILTER_CONTINUE, 0, "CONTINUE", parse_empty },
	{ MILTER_ACCEPT, 0, "ACCEPT", parse_empty },
	{ MILTER_REJECT, 0, "REJECT", parse_empty },
	{ MILTER_TEMPFAIL, 0, "TEMPFAIL", parse_empty },
	{ MILTER_DISCARD, 0, "DISCARD", parse_empty },
	{ MILTER_REPLYCODE, 0, "REPLYCODE", parse_replycode },
	{ MILTER_SKIP, 0, "SKIP", parse_empty },
	{ MILTER_PROGRESS, 0, "PROGRESS", parse_empty },
	{ MILTER_SHUTDOWN, 0, "SHUTDOWN", parse_empty },
	{ MILTER_ADDHEADER, MILTER_MAY_ADD_HEADERS, "ADDHEADER", parse_header },
	{ MILTER_INSHEADER, MILTER_MAY_ADD_HEADERS, "INSHEADER", parse_header },
	{ MILTER_CHGHEADER, MILTER_MAY_CHANGE_HEADERS, "CHGHEADER", parse_header },
	{ MILTER_CHGFROM, MILTER_MAY_CHANGE_FROM, "CHGFROM", parse_address },
	{ MILTER_ADDRCPT, MILTER_MAY_ADD_RCPT, "ADDRCPT", parse_address },
	{ MILTER_ADDRCPT_PAR, MILTER_MAY_ADD_RCPT_PAR, "ADDRCPT_PAR", parse_address },
	{ MILTER_DELRCPT, MILTER_MAY_DELETE_RCPT, "DELRCPT", parse_address },
	{ MILTER_REPLBODY, MILTER_MAY_CHANGE_BODY, "REPLBODY", parse_body },
	{ MILTER_QUARANTINE, MILTER_MAY_QUARANTINE, "QUARANTINE", parse_reason },
};

static const struct reply_form *form_of(int code)
{
	for (size_t i = 0; i < COUNT(forms); i++)
		if ((int)forms[i].code == code)
			return &forms[i];
	return NULL;
}

/* Not the two thousand octets of an SMTP reply's text, for every CONTINUE. */
static void reply_clear(struct milter_reply *r)
{
	r->index = 0;
	r->name = r->value = r->address = r->parameters = (struct slice){ NULL, 0 };
	r->smtp.code = 0;
	r->smtp.enhanced[0] = r->smtp.text[0] = '\0';
}

int milter_reply_parse(const struct milter_packet *p, struct milter_reply *r, struct err *e)
{
	const struct reply_form *form = form_of(p->code);

	reply_clear(r);
	if (form == NULL)
		return err_set(e, "a reply of the unknown code 0x%02x", (unsigned char)p->code);
	r->code = form->code;
	return form->parse(p->payload, r, e) < 0 ? err_prefix(e, "%s", form->name) : 0;
}

uint32_t milter_reply_action(enum milter_reply_code code)
{
	const struct reply_form *form = form_of((int)code);

	return form != NULL ? form->action : 0;
}

const char *milter_reply_name(enum milter_reply_code code)
{
	const struct reply_form *form = form_of((int)code);

	return form != NULL ? form->name : "?";
}

const char *milter_command_name(enum milter_command command)
{
	static const struct {
		enum milter_command command;
		const char *name;
	} names[] = {
		{ MILTER_ABORT, "ABORT" },
		{ MILTER_BODY, "BODY" },
		{ MILTER_CONNECT, "CONNECT" },
		{ MILTER_MACRO, "MACRO" },
		{ MILTER_END, "END" },
		{ MILTER_HELO, "HELO" },
		{ MILTER_HEADER, "HEADER" },
		{ MILTER_MAIL, "MAIL" },
		{ MILTER_EOH, "EOH" },
		{ MILTER_OPTNEG, "OPTNEG" },
		{ MILTER_QUIT, "QUIT" },
		{ MILTER_RCPT, "RCPT" },
		{ MILTER_DATA, "DATA" },
		{ MILTER_UNKNOWN, "UNKNOWN" },
	};

	for (size_t i = 0; i < COUNT(names); i++)
		if (names[i].command == command)
			return names[i].name;
	return "?";
}
