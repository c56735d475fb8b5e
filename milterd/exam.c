#include "config.h"

#include "milterd/exam_body.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

/* Values, tokens and texts of one message: what hostile input can make us keep beside itself. */
enum { ARENA_MAX = 128 << 20 };

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static size_t provider_index(const struct provider *p)
{
	size_t i = 0;

	while (providers[i] != NULL && providers[i] != p)
		i++;
	assert(i < EXAM_PROVIDERS_MAX);
	return i;
}

void exam_give_up(struct exam *x, const char *why)
{
	if (x->failed == NULL)
		x->failed = why;
	x->final = true;
}

/* ---- facts ------------------------------------------------------------------------------- */

static struct value ask(void *arg, const struct fact_ref *ref, size_t index)
{
	struct exam *x = arg;
	struct slice field = ref->field != NULL ? slice_z(ref->field) : SLICE("");
	double start;

	if ((x->engine->without & exam_without_bit(slice_z(ref->provider->name))) != 0)
		return value_unknown;
	start = ref->provider->costly ? now_ms() : 0;
	x->facts[index] = ref->provider->get(x, ref->row, field);
	if (ref->provider->costly)
		x->asked_ms[provider_index(ref->provider)] += now_ms() - start;
	return x->facts[index];
}

/* The evaluation of the message in hand; one begins where there is none. */
static bool evaluation_begin(struct exam *x)
{
	struct fact_source source = { ask, x };
	size_t n;

	if (x->evaluation != NULL)
		return true;
	(void)ruleset_facts(x->engine->rules, &n);
	x->facts = arena_take(&x->arena, (n + 1) * sizeof(*x->facts));
	if (x->facts != NULL)
		x->evaluation = evaluation_new(x->engine->rules, &x->arena, source);
	if (x->evaluation == NULL)
		exam_give_up(x, "out of memory");
	return x->evaluation != NULL;
}

static void check_memory(struct exam *x)
{
	if (x->arena.failed)
		exam_give_up(x, "the message needs more memory than one message may take");
	else if (x->message.arena.failed)
		exam_give_up(x, "the message's structure needs more memory than there is");
}

/* Run the rules up to this stage. */
static bool run(struct exam *x, enum stage stage)
{
	double start;

	if (x->final)
		return true;
	x->stage = stage;
	if (!evaluation_begin(x))
		return true;
	start = now_ms();
	x->final = evaluation_run(x->evaluation, stage);
	x->spent_ms += now_ms() - start;
	check_memory(x);
	return x->final;
}

/* ---- session ----------------------------------------------------------------------------- */

struct exam *exam_new(struct engine *g)
{
	struct exam *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->engine = engine_ref(g);
	x->arena.max = ARENA_MAX;
	message_start(&x->message, g->message_bytes);
	return x;
}

static void message_forget(struct exam *x)
{
	evaluation_free(&x->evaluation);
	message_free(&x->message);
	free(x->recipients);
	arena_free(&x->arena);
}

void exam_free(struct exam **x)
{
	struct exam *was = *x;

	*x = NULL;
	if (was == NULL)
		return;
	message_forget(was);
	engine_unref(&was->engine);
	free(was);
}

void exam_reset(struct exam *x)
{
	message_forget(x);
	memset(&x->arena, 0, sizeof(*x) - offsetof(struct exam, arena));
	x->client.auth_user = x->client.auth_mechanism = SLICE("");
	x->arena.max = ARENA_MAX;
	message_start(&x->message, x->engine->message_bytes);
}

static struct slice keep(char *into, size_t cap, struct slice s)
{
	if (s.n >= cap)
		s.n = cap - 1;
	if (s.n > 0)
		memcpy(into, s.p, s.n);
	into[s.n] = '\0';
	return slice_of(into, s.n);
}
#define KEEP(x, member, s) keep((x)->texts.member, sizeof((x)->texts.member), s)

bool exam_connect(struct exam *x, const struct client *c)
{
	exam_reset(x);
	x->client = (struct client){ .address = c->address };
	x->client.name = KEEP(x, name, c->name);
	x->client.listener = KEEP(x, listener, c->listener);
	x->client.helo = KEEP(x, helo, c->helo);
	exam_tls(x, c->tls_version, c->tls_cipher);
	return run(x, STAGE_CONNECT);
}

bool exam_helo(struct exam *x, struct slice name)
{
	if (x->stage > STAGE_CONNECT)
		exam_reset(x);
	x->client.helo = KEEP(x, helo, name);
	return run(x, STAGE_HELO);
}

void exam_tls(struct exam *x, struct slice version, struct slice cipher)
{
	x->client.tls_version = KEEP(x, tls_version, version);
	x->client.tls_cipher = KEEP(x, tls_cipher, cipher);
}

void exam_findings(struct exam *x, struct slice words, bool at_end)
{
	x->client.findings = words.p != NULL ? KEEP(x, findings, words) : words;
	if (!at_end)
		x->client.findings_at_mail = words.p != NULL ? KEEP(x, findings_at_mail, words)
							     : words;
}

/* ---- envelope ---------------------------------------------------------------------------- */

static struct slice lower_copy(struct arena *a, struct slice s)
{
	struct slice copy = arena_copy(a, s);
	char *p = (char *)copy.p;

	for (size_t i = 0; p != NULL && i < copy.n; i++)
		p[i] = ascii_lower(p[i]);
	return copy;
}

/* "<@relay:local@domain>": the MTA has checked it; brackets and source route (RFC 5321 appendix C)
 * are all that is taken off. */
static struct envelope_path path_keep(struct arena *a, struct slice s)
{
	size_t at;

	s = slice_trim(s);
	if (s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>')
		s = slice_sub(s, 1, s.n - 2);
	if (s.n > 0 && s.p[0] == '@' && slice_find(s, ':') < s.n)
		s = slice_sub(s, slice_find(s, ':') + 1, s.n);
	for (at = s.n; at > 0 && s.p[at - 1] != '@'; at--)
		;
	return (struct envelope_path){
		.address = arena_copy(a, s),
		.domain = lower_copy(a, at > 0 ? slice_sub(s, at, s.n) : SLICE("")),
	};
}

bool exam_mail(struct exam *x, struct slice path, uint64_t declared_size, struct slice auth_user,
    struct slice auth_mechanism)
{
	if (x->stage > STAGE_HELO)
		exam_reset(x);
	x->client.auth_user = KEEP(x, user, auth_user);
	x->client.auth_mechanism = KEEP(x, mechanism, auth_mechanism);
	x->reverse_path = path_keep(&x->arena, path);
	x->declared_size = declared_size;
	return run(x, STAGE_MAIL);
}

static void recipient_add(struct exam *x, struct envelope_path p)
{
	if (x->recipient_count == x->recipient_cap) {
		size_t cap = x->recipient_cap > 0 ? x->recipient_cap * 2 : 8;
		struct envelope_path *more = realloc(x->recipients, cap * sizeof(*more));

		if (more == NULL) {
			exam_give_up(x, "out of memory");
			return;
		}
		x->recipients = more;
		x->recipient_cap = cap;
	}
	x->recipients[x->recipient_count++] = p;
}

static bool refuses(enum action a)
{
	return a == ACTION_REJECT || a == ACTION_TEMPFAIL;
}

/* What the final verdict means for one more recipient. */
static bool refused_by_verdict(struct exam *x, struct slice *reply, bool *tempfail)
{
	const struct verdict *v = exam_verdict(x);

	*reply = v->reply;
	*tempfail = v->action == ACTION_TEMPFAIL;
	return refuses(v->action);
}

/* The rules of the rcpt stage, then the policy: one that was refused chooses no policy. */
static bool recipient_refused(struct exam *x, struct slice *reply, bool *tempfail)
{
	if (x->recipients_asked++ > 0)
		evaluation_forget(x->evaluation, STAGE_RCPT);
	if (evaluation_run(x->evaluation, STAGE_RCPT)) {
		/* A verdict of an earlier stage is the message's, not this recipient's. */
		x->final = evaluation_verdict(x->evaluation)->stage < STAGE_RCPT;
		return refused_by_verdict(x, reply, tempfail);
	}
	*tempfail = true;
	return evaluation_recipient(x->evaluation, reply) == 1;
}

/* The rules of his stage, for him alone. */
static bool recipient_judged(struct exam *x, struct slice *reply, bool *tempfail)
{
	double start = now_ms();
	bool refused;

	x->stage = STAGE_RCPT;
	x->in_hand = true;
	refused = recipient_refused(x, reply, tempfail);
	x->in_hand = false;
	x->spent_ms += now_ms() - start;
	return refused;
}

bool exam_rcpt(struct exam *x, struct slice path, struct slice *reply, bool *tempfail)
{
	bool refused = false;

	*reply = (struct slice){ 0 };
	*tempfail = false;
	x->hand = path_keep(&x->arena, path);
	if (!x->final && evaluation_begin(x))
		refused = recipient_judged(x, reply, tempfail);
	check_memory(x);
	if (x->final)
		refused = refused_by_verdict(x, reply, tempfail);
	if (!refused)
		recipient_add(x, x->hand);
	return refused;
}

/* ---- content ----------------------------------------------------------------------------- */

bool exam_data(struct exam *x)
{
	return run(x, STAGE_DATA);
}

void exam_field(struct exam *x, struct slice name, struct slice value, bool leading_space)
{
	if (x->failed == NULL && !message_field(&x->message, name, value, leading_space))
		exam_give_up(x, "out of memory");
}

void exam_raw(struct exam *x, struct slice file)
{
	if (!x->final && !message_raw(&x->message, file))
		exam_give_up(x, "out of memory");
}

bool exam_header_end(struct exam *x)
{
	return run(x, STAGE_HEADER);
}

void exam_body(struct exam *x, struct slice octets)
{
	if (x->failed == NULL && !message_body(&x->message, octets))
		exam_give_up(x, "out of memory");
}

void exam_end(struct exam *x)
{
	double start = now_ms();

	if (x->final)
		return;
	message_parse(&x->message, x->engine->body_text_bytes);
	x->spent_ms += now_ms() - start;
	check_memory(x);
	run(x, STAGE_EOM);
}

/* ---- the verdict ------------------------------------------------------------------------- */

const struct verdict *exam_verdict(struct exam *x)
{
	static const struct verdict none = { .policy = "default" };
	const struct verdict *v = x->evaluation != NULL ? evaluation_verdict(x->evaluation) : &none;

	if (x->failed == NULL)
		return v;
	x->failure = *v;
	x->failure.action = ACTION_TEMPFAIL;
	x->failure.reply = (struct slice){ 0 };
	x->failure.decided_by = NULL;
	x->failure.stage = x->stage;
	x->failure.edits = NULL;
	x->failure.edit_count = 0;
	return &x->failure;
}

bool exam_final(const struct exam *x)
{
	return x->final;
}

enum stage exam_stage(const struct exam *x)
{
	return x->stage;
}

const char *exam_failed(const struct exam *x)
{
	return x->failed;
}

struct value exam_told(struct exam *x, const char *name)
{
	size_t n;
	const struct fact_ref *refs = ruleset_facts(x->engine->rules, &n);

	for (size_t i = 0; x->facts != NULL && i < n; i++)
		if (strcmp(refs[i].name, name) == 0)
			return x->facts[i];
	return value_unknown;
}

double exam_elapsed_ms(const struct exam *x)
{
	return x->spent_ms;
}

/* ---- for providers ----------------------------------------------------------------------- */

struct message *exam_message(struct exam *x)
{
	return &x->message;
}

const struct client *exam_client(struct exam *x)
{
	return &x->client;
}

const struct envelope_path *exam_reverse_path(struct exam *x)
{
	return &x->reverse_path;
}

uint64_t exam_declared_size(struct exam *x)
{
	return x->declared_size;
}

const struct envelope_path *exam_recipients(struct exam *x, size_t *n)
{
	*n = x->recipient_count;
	return x->recipients;
}

const struct envelope_path *exam_recipient(struct exam *x)
{
	return x->in_hand ? &x->hand : NULL;
}

struct arena *exam_arena(struct exam *x)
{
	return &x->arena;
}

const struct services *exam_services(struct exam *x)
{
	return x->engine->services;
}

unsigned exam_without(struct exam *x)
{
	return x->engine->without;
}

void **exam_memo(struct exam *x, const struct provider *p)
{
	return &x->memo[provider_index(p)];
}

size_t exam_body_text_bytes(struct exam *x)
{
	return x->engine->body_text_bytes;
}
