#include "config.h"

#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_filter.h"
#include "proxy/filter/filters.h"
#include "weir/milter.h"

/* ---- a session's side: each question asked and its answer waited for ------------------------- */

enum { FAKES_MAX = 3, PATIENCE_S = 20 };

struct bench {
	struct event_base *base;
	struct event *patience;
	struct proxy_settings settings;
	struct filter_settings filter[FAKES_MAX];
	struct fake fake[FAKES_MAX];
	size_t n;
	struct filters *filters;
	struct chain *chain;
	bool answered, waiting;
	int ready;
	struct chain_answer answer;
	struct mail mail;
	struct bytes report; /* "connect=ok helo=ok mail=550 ..." */
};

static void out_of_patience(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	ck_abort_msg("no answer");
}

static void bench_open(struct bench *b, const struct fake_script *scripts, size_t n, bool tcp)
{
	struct timeval patience = { PATIENCE_S, 0 };
	struct err e;

	*b = (struct bench){ .n = n };
	b->base = event_base_new();
	b->patience = evtimer_new(b->base, out_of_patience, NULL);
	ck_assert_int_eq(evtimer_add(b->patience, &patience), 0);
	for (size_t i = 0; i < n; i++) {
		static char *const names[FAKES_MAX] = { (char *)"one", (char *)"two",
			(char *)"three" };

		fake_start(&b->fake[i], &scripts[i], tcp);
		b->filter[i] = (struct filter_settings){ .name = names[i],
			.socket = b->fake[i].where,
			.on_failure = ON_FAILURE_TEMPFAIL,
			.connect_timeout_s = 5,
			.command_timeout_s = 5,
			.content_timeout_s = 5,
			.total_timeout_s = 10 };
	}
	b->settings = (struct proxy_settings){
		.filters = { b->filter, n },
		.limits.message_bytes = 1000000,
		.spool = { .directory = (char *)"/nonexistent", .memory_bytes = 1000000 },
	};
	b->filters = filters_new(b->base, &b->settings, &e);
	ck_assert_msg(b->filters != NULL, "%s", e.text);
	b->chain = chain_new(b->filters);
	ck_assert_ptr_nonnull(b->chain);
	chain_macro(b->chain, "j", SLICE("mx.test"));
}

static void bench_close(struct bench *b)
{
	chain_free(&b->chain);
	filters_free(&b->filters);
	for (size_t i = 0; i < b->n; i++)
		fake_stop(&b->fake[i]);
	mail_free(&b->mail);
	bytes_free(&b->report);
	event_free(b->patience);
	event_base_free(b->base);
}

static void on_done(const struct chain_answer *answer, void *arg)
{
	struct bench *b = arg;

	ck_assert(b->waiting); /* not inside of the call that asked */
	ck_assert(!b->answered);
	b->answered = true;
	b->answer = *answer;
}

/* Wait for the answer, add it to the report; is it CONTINUE? */
static bool wait_for(struct bench *b, const char *question)
{
	static const char *const words[] = { "ok", "reject", "tempfail", "close", "discard" };

	b->waiting = true;
	while (!b->answered)
		ck_assert_int_ge(event_base_loop(b->base, EVLOOP_ONCE), 0);
	b->answered = b->waiting = false;
	bytes_addf(&b->report, "%s%s=", b->report.n > 0 ? " " : "", question);
	if (b->answer.reply.code != 0)
		bytes_addf(&b->report, "%d", b->answer.reply.code);
	else
		bytes_addf(&b->report, "%s", words[b->answer.verdict]);
	return b->answer.verdict == CHAIN_CONTINUE;
}

static bool ask_connect(struct bench *b)
{
	struct address client;

	ck_assert_int_eq(address_parse(SLICE("203.0.113.7"), &client, NULL), 0);
	client.port = 50000;
	chain_connect(b->chain, SLICE("c.test"), &client, on_done, b);
	return wait_for(b, "connect");
}
static bool ask_helo(struct bench *b)
{
	chain_helo(b->chain, SLICE("helo.test"), on_done, b);
	return wait_for(b, "helo");
}
static bool ask_mail(struct bench *b)
{
	chain_macro(b->chain, "i", SLICE("Q1"));
	chain_mail(b->chain, SLICE("s@e.test"), SLICE("SIZE=9 BODY=8BITMIME"), on_done, b);
	return wait_for(b, "mail");
}
static bool ask_rcpt(struct bench *b, const char *address)
{
	chain_rcpt(b->chain, slice_z(address), SLICE(""), on_done, b);
	return wait_for(b, "rcpt");
}
static bool ask_data(struct bench *b)
{
	chain_data(b->chain, on_done, b);
	return wait_for(b, "data");
}
static bool ask_unknown(struct bench *b)
{
	chain_unknown(b->chain, SLICE("FOO bar"), on_done, b);
	return wait_for(b, "unknown");
}
static bool ask_end(struct bench *b)
{
	chain_end(b->chain, &b->mail, on_done, b);
	return wait_for(b, "end");
}

static void mail_make(struct bench *b, size_t body_n)
{
	static const char *const fields[] = { "Received: own\r\n", "From: a\r\n",
		"Subject:  two\r\n\tlines\r\n", "X-Empty:\r\n" };
	char line[64];

	mail_free(&b->mail);
	b->mail.own_received = b->mail.separator = true;
	for (size_t i = 0; i < COUNT(fields); i++)
		ck_assert(mail_insert_field(&b->mail, i, slice_z(fields[i])));
	ck_assert(mail_set_reverse_path(&b->mail, SLICE("s@e.test"), SLICE("")));
	ck_assert(mail_add_recipient(&b->mail, SLICE("r@e.test"), SLICE("")));
	b->mail.body = spool_new("/nonexistent", 1000000);
	for (size_t done = 0; done < body_n;) {
		size_t n = body_n - done < 50 ? body_n - done : 50;

		memset(line, 'b', sizeof(line));
		line[48] = '\r';
		line[49] = '\n';
		ck_assert_int_eq(spool_add(b->mail.body, slice_of(line, n), NULL), 0);
		done += n;
	}
}

static void stream_body(struct bench *b, size_t step)
{
	char chunk[65536];
	struct slice got;

	for (uint64_t at = 0; at < spool_size(b->mail.body); at += got.n) {
		ck_assert_int_eq(spool_read(b->mail.body, at, chunk, step, &got, NULL), 0);
		chain_body(b->chain, got);
	}
}

/* From MAIL to the end, as far as it goes. */
static void run_message(struct bench *b, size_t body_n)
{
	bool one, two;

	if (!ask_mail(b))
		return;
	mail_make(b, body_n);
	one = ask_rcpt(b, "r@e.test");
	two = ask_rcpt(b, "q@e.test");
	if ((!one && !two) || b->answer.verdict == CHAIN_CLOSE ||
	    b->answer.verdict == CHAIN_DISCARD || !ask_data(b))
		return;
	chain_header(b->chain, &b->mail);
	stream_body(b, 1000);
	(void)ask_end(b);
}

static void run_session(struct bench *b, size_t body_n)
{
	if (ask_connect(b) && ask_helo(b))
		run_message(b, body_n);
	else
		(void)ask_mail(b);
}

static char *header_of(const struct mail *m)
{
	struct bytes text = { 0 };

	for (size_t i = 0; i < m->field_count; i++)
		(void)bytes_add(&text, slice_of(m->fields[i].line, m->fields[i].n));
	return bytes_take(&text);
}

static void assert_taken(struct fake *f, struct bytes *what, const char *wanted)
{
	char *is = fake_take(f, what);

	ck_assert_str_eq(is, wanted);
	free(is);
}

/* The trace is complete only once the filter has read all: QUIT ends it. */
static void assert_trace(struct bench *b, size_t which, const char *wanted)
{
	chain_free(&b->chain);
	for (int i = 0; i < PATIENCE_S * 100; i++) {
		struct fake *f = &b->fake[which];
		bool over;

		pthread_mutex_lock(&f->lock);
		over = f->trace.n >= strlen(wanted);
		pthread_mutex_unlock(&f->lock);
		if (over)
			break;
		(void)usleep(10000);
	}
	assert_taken(&b->fake[which], &b->fake[which].trace, wanted);
}

#define OCTETS(lit) (lit), sizeof(lit) - 1

/* ---- a plain session ---------------------------------------------------------------------------
 */

START_TEST(plain)
{
	static const struct fake_script script = { 0 };
	struct bench b;

	bench_open(&b, &script, 1, _i == 1);
	chain_macro(b.chain, "{client_addr}", SLICE("203.0.113.7"));
	run_session(&b, 100);
	ck_assert_str_eq(b.report.p, "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=ok");
	run_message(&b, 0);
	assert_taken(&b.fake[0], &b.fake[0].args,
	    "Cc.test|4\303\120203.0.113.7| Hhelo.test| M<s@e.test>|SIZE=9|BODY=8BITMIME| "
	    "R<r@e.test>| R<q@e.test>| M<s@e.test>|SIZE=9|BODY=8BITMIME| R<r@e.test>| "
	    "R<q@e.test>| ");
	assert_taken(&b.fake[0], &b.fake[0].headers,
	    "From|a\nSubject| two/\tlines\nX-Empty|\nFrom|a\nSubject| two/\tlines\nX-Empty|\n");
	assert_taken(&b.fake[0], &b.fake[0].macros,
	    "C[j=mx.test {client_addr}=203.0.113.7] M[i=Q1 {mail_addr}=s@e.test] "
	    "R[i=Q1 {rcpt_addr}=r@e.test] R[i=Q1 {rcpt_addr}=q@e.test] T[i=Q1] N[i=Q1] E[i=Q1] "
	    "M[i=Q1 {mail_addr}=s@e.test] R[i=Q1 {rcpt_addr}=r@e.test] "
	    "R[i=Q1 {rcpt_addr}=q@e.test] T[i=Q1] N[i=Q1] E[i=Q1] ");
	assert_trace(&b, 0, "O C H M R R T L L L N B100 E M R R T L L L N E Q");
	bench_close(&b);
}
END_TEST

/* For MAIL, for RCPT none, for EOH. */
#define LISTS                          \
	"\0\0\0\2{mail_addr} {x}, i\0" \
	"\0\0\0\3\0"                   \
	"\0\0\0\6{i} j\0"

START_TEST(own_macros)
{
	static const struct fake_script script = { .lists = LISTS, .lists_n = sizeof(LISTS) - 1 };
	struct bench b;

	bench_open(&b, &script, 1, false);
	chain_macro(b.chain, "{x}", SLICE("1"));
	chain_macro(b.chain, "{x}", (struct slice){ NULL, 0 });
	run_session(&b, 0);
	/* What is unset after it was set goes out empty; an empty list means no macro. */
	assert_taken(&b.fake[0], &b.fake[0].macros,
	    "C[j=mx.test] M[{mail_addr}=s@e.test {x}= i=Q1] T[i=Q1] N[{i}=Q1 j=mx.test] E[i=Q1] ");
	bench_close(&b);
}
END_TEST

START_TEST(leading_space)
{
	static const struct fake_script script = {
		.protocol = 0x100000,
		.answers = { { 'E', 1, OCTETS("\0\0\0\7hX-A\0v\0\0\0\0\1c"), FAKE_GO_ON } },
	};
	struct bench b;
	char *header;

	bench_open(&b, &script, 1, false);
	run_session(&b, 0);
	assert_taken(&b.fake[0], &b.fake[0].headers, "From| a\nSubject|  two/\tlines\nX-Empty|\n");
	header = header_of(&b.mail);
	ck_assert_ptr_nonnull(strstr(header, "X-A:v\r\n"));
	free(header);
	bench_close(&b);
}
END_TEST

/* ---- body chunks
 * --------------------------------------------------------------------------------- */

static const struct {
	size_t body;
	const char *trace;
} chunks[] = {
	{ 0, "O C H M R R T L L L N E Q" },
	{ 1, "O C H M R R T L L L N B1 E Q" },
	{ 65535, "O C H M R R T L L L N B65535 E Q" },
	{ 65536, "O C H M R R T L L L N B65535 B1 E Q" },
	{ 200000, "O C H M R R T L L L N B65535 B65535 B65535 B3395 E Q" },
};
/* Streamed to the first filter, read from the spool for the second: the same packets. */
START_TEST(body_chunks)
{
	static const struct fake_script scripts[2] = { 0 };
	struct bench b;
	struct bytes body = { 0 };
	char buffer[65536];
	struct slice got;

	bench_open(&b, scripts, 2, false);
	run_session(&b, chunks[_i].body);
	for (uint64_t at = 0; at < spool_size(b.mail.body); at += got.n) {
		ck_assert_int_eq(
		    spool_read(b.mail.body, at, buffer, sizeof(buffer), &got, NULL), 0);
		(void)bytes_add(&body, got);
	}
	assert_trace(&b, 0, chunks[_i].trace);
	assert_trace(&b, 1, chunks[_i].trace);
	for (size_t i = 0; i < 2; i++)
		ck_assert(slice_eq(bytes_slice(&b.fake[i].body), bytes_slice(&body)));
	bytes_free(&body);
	bench_close(&b);
}
END_TEST

/* ---- every verdict at every stage
 * ------------------------------------------------------------------ */

static const struct {
	const char *octets;
	size_t n;
	const char *code; /* what the client gets */
} verdicts[] = {
	{ OCTETS("\0\0\0\1c"), "ok" },
	{ OCTETS("\0\0\0\1a"), "ok" },
	{ OCTETS("\0\0\0\1r"), "550" },
	{ OCTETS("\0\0\0\1t"), "451" },
	{ OCTETS("\0\0\0\1d"), "discard" },
	{ OCTETS("\0\0\0\22y554 5.7.1 No way\0"), "554" },
	{ OCTETS("\0\0\0\21y452 4.7.1 Later\0"), "452" },
	{ OCTETS("\0\0\0\17y421 4.7.0 Bye\0"), "421" },
	{ OCTETS("\0\0\0\1s"), "ok" },
	{ OCTETS("\0\0\0\0014"), "421" },
};
static const char stages[] = "CHMRTLNBE";

static const char *stage_name(char stage)
{
	switch (stage) {
	case 'C':
		return "connect";
	case 'H':
		return "helo";
	case 'M':
		return "mail";
	case 'R':
		return "rcpt";
	case 'T':
		return "data";
	default:
		return "end";
	}
}

/* What a session should report: all is well up to the stage, then the verdict, and what follows. */
static void expect(struct bytes *b, char stage, const char *code)
{
	static const char *const all[] = { "connect", "helo", "mail", "rcpt", "rcpt", "data",
		"end" };
	bool refused = false, said = false;

	for (size_t i = 0; i < COUNT(all); i++) {
		bool here = !said && strcmp(all[i], stage_name(stage)) == 0;

		said |= here;
		bytes_addf(b, "%s%s=%s", i > 0 ? " " : "", all[i], here ? code : "ok");
		refused |= here && strcmp(code, "ok") != 0;
		if (!refused)
			continue;
		if (stage == 'C' || stage == 'H')
			bytes_addf(b, " mail=%s", code); /* for the whole session */
		if (stage != 'R')
			return;
		/* One recipient: the next is asked; 421 and DISCARD are told in run_message only
		 * by the last. */
		refused = false;
	}
}

START_TEST(verdict_at_stage)
{
	char stage = stages[_i % 9];
	size_t v = (size_t)_i / 9;
	const char *code = verdicts[v].code;
	struct fake_script script = { .protocol = 0x400 };
	struct bytes wanted = { 0 };
	struct bench b;
	bool session = stage == 'C' || stage == 'H';

	/* DISCARD is illegal before MAIL and goes on. 421 and DISCARD at RCPT have a test below. */
	if (session && strcmp(code, "discard") == 0)
		code = "ok";
	if (stage == 'R' && (strcmp(code, "discard") == 0 || strcmp(code, "421") == 0))
		return;
	script.answers[0] = (struct fake_answer){ stage, 1, verdicts[v].octets, verdicts[v].n,
		FAKE_GO_ON };
	bench_open(&b, &script, 1, false);
	run_session(&b, 100);
	expect(&wanted, stage, code);
	ck_assert_msg(strcmp(b.report.p, wanted.p) == 0, "%s at %c: is %s, not %s",
	    milter_reply_name((enum milter_reply_code)verdicts[v].octets[4]), stage, b.report.p,
	    wanted.p);
	if (strcmp(code, "ok") != 0 && b.answer.verdict != CHAIN_CONTINUE)
		ck_assert_str_eq(b.answer.filter, "one");
	/* The next message goes its way on the same connection. */
	bytes_clear(&b.report);
	run_message(&b, 10);
	if (session && strcmp(code, "ok") != 0)
		ck_assert_msg(
		    strncmp(b.report.p, "mail=", 5) == 0 && strcmp(b.report.p + 5, code) == 0, "%s",
		    b.report.p);
	else
		ck_assert_str_eq(b.report.p, "mail=ok rcpt=ok rcpt=ok data=ok end=ok");
	ck_assert_int_eq(atomic_load(&b.fake[0].connections), 1);
	/* Nothing that libmilter would have dropped. */
	chain_free(&b.chain);
	{
		char *trace = fake_take(&b.fake[0], &b.fake[0].trace);

		ck_assert_msg(strchr(trace, '!') == NULL, "%s at %c: %s",
		    milter_reply_name((enum milter_reply_code)verdicts[v].octets[4]), stage, trace);
		free(trace);
	}
	bytes_free(&wanted);
	bench_close(&b);
}
END_TEST

/* The same, as traces of what the filter gets. */
static const struct {
	struct fake_answer answer;
	const char *trace;
} traces[] = {
	{ { 'C', 1, OCTETS("\0\0\0\1a"), FAKE_GO_ON }, "O C Q" },
	{ { 'H', 1, OCTETS("\0\0\0\1a"), FAKE_GO_ON }, "O C H Q" },
	{ { 'C', 1, OCTETS("\0\0\0\1r"), FAKE_GO_ON }, "O C Q" },
	{ { 'H', 1, OCTETS("\0\0\0\1t"), FAKE_GO_ON }, "O C H Q" },
	{ { 'M', 1, OCTETS("\0\0\0\1a"), FAKE_GO_ON }, "O C H M Q" },
	{ { 'M', 1, OCTETS("\0\0\0\1r"), FAKE_GO_ON }, "O C H M Q" },
	{ { 'M', 1, OCTETS("\0\0\0\1d"), FAKE_GO_ON }, "O C H M Q" },
	{ { 'R', 1, OCTETS("\0\0\0\1a"), FAKE_GO_ON }, "O C H M R Q" },
	{ { 'R', 1, OCTETS("\0\0\0\1s"), FAKE_GO_ON }, "O C H M R T L L L N B100 E Q" },
	{ { 'R', 1, OCTETS("\0\0\0\1r"), FAKE_GO_ON }, "O C H M R R T L L L N B100 E Q" },
	{ { 'R', 0, OCTETS("\0\0\0\1r"), FAKE_GO_ON }, "O C H M R R A Q" },
	{ { 'R', 2, OCTETS("\0\0\0\1d"), FAKE_GO_ON }, "O C H M R R A Q" },
	{ { 'R', 2, OCTETS("\0\0\0\0014"), FAKE_GO_ON }, "O C H M R R A Q" },
	{ { 'T', 1, OCTETS("\0\0\0\1r"), FAKE_GO_ON }, "O C H M R R T Q" },
	{ { 'L', 1, OCTETS("\0\0\0\1s"), FAKE_GO_ON }, "O C H M R R T L N B100 E Q" },
	{ { 'L', 2, OCTETS("\0\0\0\1r"), FAKE_GO_ON }, "O C H M R R T L L Q" },
	{ { 'L', 2, OCTETS("\0\0\0\1a"), FAKE_GO_ON }, "O C H M R R T L L Q" },
	{ { 'N', 1, OCTETS("\0\0\0\1d"), FAKE_GO_ON }, "O C H M R R T L L L N Q" },
	{ { 'B', 1, OCTETS("\0\0\0\1s"), FAKE_GO_ON }, "O C H M R R T L L L N B100 E Q" },
	{ { 'E', 1, OCTETS("\0\0\0\1s"), FAKE_GO_ON }, "O C H M R R T L L L N B100 E Q" },
};
START_TEST(trace_of_verdict)
{
	struct fake_script script = { .protocol = 0x400 };
	struct bench b;

	script.answers[0] = traces[_i].answer;
	bench_open(&b, &script, 1, false);
	run_session(&b, 100);
	assert_trace(&b, 0, traces[_i].trace);
	bench_close(&b);
}
END_TEST

/* ---- what is switched off -----------------------------------------------------------------------
 */

static const struct {
	uint32_t version, protocol;
	const char *trace;
} switched[] = {
	{ 6, 0x000001, "O H M R R T L L L N B100 E Q" },
	{ 6, 0x000002, "O C M R R T L L L N B100 E Q" },
	{ 6, 0x000004, "O C H R R T L L L N B100 E Q" },
	{ 6, 0x000008, "O C H M T L L L N B100 E Q" },
	{ 6, 0x000010, "O C H M R R T L L L N E Q" },
	{ 6, 0x000020, "O C H M R R T N B100 E Q" },
	{ 6, 0x000040, "O C H M R R T L L L B100 E Q" },
	{ 6, 0x000200, "O C H M R R L L L N B100 E Q" },
	{ 6, 0x00027f, "O E Q" },
	{ 6, 0x000080, "O C H M R R T L L L N B100 E Q" },
	{ 6, 0x001000, "O C H M R R T L L L N B100 E Q" },
	{ 6, 0x002000, "O C H M R R T L L L N B100 E Q" },
	{ 6, 0x004000, "O C H M R R T L L L N B100 E Q" },
	{ 6, 0x008000, "O C H M R R T L L L N B100 E Q" },
	{ 6, 0x010000, "O C H M R R T L L L N B100 E Q" },
	{ 6, 0x040000, "O C H M R R T L L L N B100 E Q" },
	{ 6, 0x080000, "O C H M R R T L L L N B100 E Q" },
	{ 6, 0x0ff080, "O C H M R R T L L L N B100 E Q" },
	{ 2, 0x000000, "O C H M R R L L L N B100 E Q" },
	{ 3, 0x000000, "O C H M R R L L L N B100 E Q" },
	{ 4, 0x000000, "O C H M R R T L L L N B100 E Q" },
};
START_TEST(switched_off)
{
	struct fake_script script = { .version = switched[_i].version,
		.protocol = switched[_i].protocol };
	struct bench b;

	bench_open(&b, &script, 1, false);
	run_session(&b, 100);
	ck_assert_str_eq(b.report.p, "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=ok");
	/* Macros go even where their command does not. */
	if (switched[_i].version == 6 && (switched[_i].protocol & 0x27f) != 0)
		assert_taken(&b.fake[0], &b.fake[0].macros,
		    "C[j=mx.test] M[i=Q1 {mail_addr}=s@e.test] R[i=Q1 {rcpt_addr}=r@e.test] "
		    "R[i=Q1 {rcpt_addr}=q@e.test] T[i=Q1] N[i=Q1] E[i=Q1] ");
	assert_trace(&b, 0, switched[_i].trace);
	bench_close(&b);
}
END_TEST

/* A filter without replies to content is written to as fast as it reads. */
START_TEST(large_without_replies)
{
	static const struct fake_script script = { .protocol = 0x0ff080 };
	struct bench b;

	bench_open(&b, &script, 1, _i == 1);
	(void)ask_connect(&b);
	(void)ask_helo(&b);
	for (int i = 0; i < 3; i++) {
		run_message(&b, 990000);
		ck_assert(b.answer.verdict == CHAIN_CONTINUE);
		ck_assert_uint_eq(b.fake[0].body.n, 990000);
		bytes_clear(&b.fake[0].body);
	}
	bench_close(&b);
}
END_TEST

/* ---- misbehaviour
 * -------------------------------------------------------------------------------- */

static const struct misbehaviour {
	const char *name, *octets;
	size_t n;
	enum fake_act act;
	const char *stages; /* where it is one */
} misbehaviours[] = {
	{ "closes", OCTETS(""), FAKE_CLOSE, "OCHMRTLNBE" },
	{ "half a packet", OCTETS("\0\0\0\1"), FAKE_CLOSE, "OCHMRTLNBE" },
	{ "garbage", OCTETS("HTTP/1.1 400 Bad Request\r\n"), FAKE_GO_ON, "OCHMRTLNBE" },
	{ "length 0", OCTETS("\0\0\0\0c"), FAKE_GO_ON, "OCHMRTLNBE" },
	{ "huge length", OCTETS("\377\377\377\377c"), FAKE_GO_ON, "OCHMRTLNBE" },
	{ "huge body", OCTETS("\0\377\377\377b"), FAKE_GO_ON, "OCHMRTLNBE" },
	{ "unknown reply", OCTETS("\0\0\0\1Z"), FAKE_GO_ON, "OCHMRTLNBE" },
	{ "surplus octets", OCTETS("\0\0\0\2cx"), FAKE_GO_ON, "CHMRTLNBE" },
	{ "negotiates", OCTETS("\0\0\0\15O\0\0\0\6\0\0\0\0\0\0\0\0"), FAKE_GO_ON, "CHMRTLNBE" },
	{ "short negotiation", OCTETS("\0\0\0\5O\0\0\0\6"), FAKE_GO_ON, "O" },
	{ "version 7", OCTETS("\0\0\0\15O\0\0\0\7\0\0\0\0\0\0\0\0"), FAKE_GO_ON, "O" },
	{ "actions not offered", OCTETS("\0\0\0\15O\0\0\0\6\0\0\2\0\0\0\0\0"), FAKE_GO_ON, "O" },
	{ "continues", OCTETS("\0\0\0\1c"), FAKE_GO_ON, "O" },
	{ "250", OCTETS("\0\0\0\13y250 2.0.0\0"), FAKE_GO_ON, "CHMRTLNBE" },
	{ "wrong class", OCTETS("\0\0\0\16y550 4.7.1 no\0"), FAKE_GO_ON, "CHMRTLNBE" },
	{ "skip", OCTETS("\0\0\0\1s"), FAKE_GO_ON, "CHMRTLNBE" },
	{ "edit too early", OCTETS("\0\0\0\7hX-A\0v\0"), FAKE_GO_ON, "CHMRTLNB" },
	{ "dies between edits", OCTETS("\0\0\0\7hX-A\0v\0"), FAKE_CLOSE, "E" },
	{ "dies in its body", OCTETS("\0\0\0\7hX-A\0v\0\0\0\0\7babc"), FAKE_CLOSE, "E" },
	{ "bad edit", OCTETS("\0\0\0\7hX-A\0v\0\0\0\0\5+a b\0\0\0\0\1c"), FAKE_GO_ON, "E" },
	{ "body in two runs", OCTETS("\0\0\0\2bx\0\0\0\7hX-A\0v\0\0\0\0\2by\0\0\0\1c"), FAKE_GO_ON,
	    "E" },
};
static const char *const on_failures[] = { "tempfail", "accept", "reject", "quarantine" };

static struct fake_script misbehave(const struct misbehaviour *m, char stage, int times)
{
	return (struct fake_script){ .times = times,
		.answers = { { stage, 1, m->octets, m->n, m->act } } };
}

static const char *failure_code(int on_failure)
{
	return on_failure == ON_FAILURE_TEMPFAIL ? "451"
	    : on_failure == ON_FAILURE_REJECT    ? "550"
						 : "ok";
}

/* Later answers of a transaction whose filter failed at a stage. */
static void expect_failure(struct bytes *b, char stage, int on_failure)
{
	const char *code = failure_code(on_failure);

	if (stage == 'R' && strcmp(code, "ok") != 0)
		bytes_addf(b, "connect=ok helo=ok mail=ok rcpt=%s rcpt=%s", code, code);
	else
		expect(b, stage, code);
}

static void assert_marked(const struct bench *b, bool marked)
{
	char *header = header_of(&b->mail);

	ck_assert_int_eq(
	    strstr(header, "X-Weir-Quarantine: filter one could not be asked\r\n") != NULL, marked);
	ck_assert_ptr_null(strstr(header, "X-A:"));
	free(header);
}

/* A filter that misbehaves always: at its first failure in a transaction, on_failure. */
static void misbehaves_always(const struct misbehaviour *m, char stage, int on_failure)
{
	struct fake_script script = misbehave(m, stage, 0);
	bool early = strchr("OCH", stage) != NULL;
	struct bytes wanted = { 0 };
	struct bench b;

	bench_open(&b, &script, 1, false);
	b.filter[0].on_failure = on_failure;
	run_session(&b, 100);
	/* Before MAIL nothing is refused; MAIL tries again, in vain. */
	expect_failure(&wanted, early ? 'M' : stage, on_failure);
	ck_assert_msg(strcmp(b.report.p, wanted.p) == 0, "%s at %c, %s: is %s, not %s", m->name,
	    stage, on_failures[on_failure], b.report.p, wanted.p);
	if (b.answer.verdict == CHAIN_CONTINUE)
		assert_marked(&b, on_failure == ON_FAILURE_QUARANTINE);
	ck_assert_int_eq(atomic_load(&b.fake[0].connections), early ? 2 : 1);
	bytes_free(&wanted);
	bench_close(&b);
}

/* One that misbehaves once: the next transaction has it again, told CONNECT and HELO anew. */
static void misbehaves_once(const struct misbehaviour *m, char stage, int on_failure)
{
	struct fake_script script = misbehave(m, stage, 1);
	struct bench b;
	char *trace;

	bench_open(&b, &script, 1, false);
	b.filter[0].on_failure = on_failure;
	run_session(&b, 100);
	bytes_clear(&b.report);
	free(fake_take(&b.fake[0], &b.fake[0].args));
	run_message(&b, 100);
	ck_assert_str_eq(b.report.p, "mail=ok rcpt=ok rcpt=ok data=ok end=ok");
	assert_marked(&b, false);
	ck_assert_int_eq(atomic_load(&b.fake[0].connections), 2);
	chain_free(&b.chain);
	trace = fake_take(&b.fake[0], &b.fake[0].trace);
	ck_assert_msg(strstr(trace, " O C H M R R T L L L N B100 E") != NULL, "%s", trace);
	free(trace);
	bench_close(&b);
}

START_TEST(misbehaviour)
{
	const struct misbehaviour *m = &misbehaviours[_i];

	for (const char *stage = m->stages; *stage != '\0'; stage++)
		for (int on_failure = 0; on_failure < (int)COUNT(on_failures); on_failure++) {
			misbehaves_always(m, *stage, on_failure);
			misbehaves_once(m, *stage, on_failure);
		}
}
END_TEST

/* A reply too many, or one that was not to be given, would be taken for the next event's. */
static const struct {
	struct fake_answer answer;
	uint32_t protocol;
	const char *report;
} strays[] = {
	{ { 'C', 1, OCTETS("\0\0\0\1c\0\0\0\1c"), FAKE_GO_ON }, 0,
	    "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=ok" },
	{ { 'M', 1, OCTETS("\0\0\0\1c\0\0\0\1c"), FAKE_GO_ON }, 0,
	    "connect=ok helo=ok mail=ok rcpt=451 rcpt=451" },
	{ { 'R', 2, OCTETS("\0\0\0\1c\0\0\0\1c"), FAKE_GO_ON }, 0,
	    "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=451" },
	{ { 'T', 1, OCTETS("\0\0\0\1c\0\0\0\1c"), FAKE_GO_ON }, 0,
	    "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=451" },
	{ { 'L', 1, OCTETS("\0\0\0\1c\0\0\0\1c"), FAKE_GO_ON }, 0,
	    "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=451" },
	{ { 'B', 1, OCTETS("\0\0\0\1c\0\0\0\1c"), FAKE_GO_ON }, 0,
	    "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=451" },
	{ { 'E', 1, OCTETS("\0\0\0\1c\0\0\0\1r"), FAKE_GO_ON }, 0,
	    "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=ok" },
	/* Two in one write: a single one may be taken for the reply to EOH, and that one for the
	 * next, for as long as each comes just too late to be seen as one too many. */
	{ { 'L', 1, OCTETS("\0\0\0\1c\0\0\0\1c"), FAKE_GO_ON }, 0x80,
	    "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=451" },
	/* PROGRESS is no reply: it may come at any time. */
	{ { 'M', 1, OCTETS("\0\0\0\1p\0\0\0\1c\0\0\0\1p"), FAKE_GO_ON }, 0,
	    "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=ok" },
	{ { 'E', 1, OCTETS("\0\0\0\1p\0\0\0\1c\0\0\0\1p"), FAKE_GO_ON }, 0,
	    "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=ok" },
};
START_TEST(stray_reply)
{
	struct fake_script script = { .protocol = strays[_i].protocol, .times = 1 };
	struct bench b;

	script.answers[0] = strays[_i].answer;
	bench_open(&b, &script, 1, false);
	run_session(&b, 100);
	ck_assert_str_eq(b.report.p, strays[_i].report);
	bytes_clear(&b.report);
	run_message(&b, 100);
	ck_assert_str_eq(b.report.p, "mail=ok rcpt=ok rcpt=ok data=ok end=ok");
	bench_close(&b);
}
END_TEST

/* A connection that the filter closed between two messages costs neither of them. */
START_TEST(closed_between_messages)
{
	static const struct fake_script script = { .times = 1,
		.answers = { { 'E', 1, OCTETS("\0\0\0\1c"), FAKE_CLOSE } } };
	struct bench b;

	bench_open(&b, &script, 1, _i == 1);
	run_session(&b, 100);
	while (atomic_load(&b.fake[0].closed) == 0)
		(void)usleep(1000);
	bytes_clear(&b.report);
	run_message(&b, 100);
	ck_assert_str_eq(b.report.p, "mail=ok rcpt=ok rcpt=ok data=ok end=ok");
	ck_assert_int_eq(atomic_load(&b.fake[0].connections), 2);
	bench_close(&b);
}
END_TEST

/* A filter that breaks off over a message that is aborted already: the next one is not refused for
 * it, even where its MAIL was asked before that was seen. */
static const struct fake_answer over_aborted[] = {
	{ 'L', 1, OCTETS(""), FAKE_CLOSE },
	{ 'L', 1, OCTETS("garbage garbage"), FAKE_GO_ON },
	{ 'L', 1, OCTETS("\0\0\0\1Z"), FAKE_GO_ON },
};
START_TEST(broken_over_an_aborted_message)
{
	struct fake_script script = { .times = 1 };
	struct bench b;

	script.answers[0] = over_aborted[_i];
	bench_open(&b, &script, 1, false);
	ck_assert(ask_connect(&b) && ask_helo(&b) && ask_mail(&b) && ask_rcpt(&b, "r@e.test"));
	ck_assert(ask_data(&b));
	mail_make(&b, 100);
	chain_header(b.chain, &b.mail);
	chain_abort(b.chain);
	bytes_clear(&b.report);
	run_message(&b, 100);
	ck_assert_str_eq(b.report.p, "mail=ok rcpt=ok rcpt=ok data=ok end=ok");
	ck_assert_int_eq(atomic_load(&b.fake[0].connections), 2);
	bench_close(&b);
}
END_TEST

/* An edit that was not negotiated is none of ours to make. */
START_TEST(undeclared_edit)
{
	static const struct fake_script script = {
		.version = 6,
		.actions = 0x1fe,
		.answers = { { 'E', 1, OCTETS("\0\0\0\7hX-A\0v\0\0\0\0\1c"), FAKE_GO_ON } },
	};
	struct bench b;

	bench_open(&b, &script, 1, false);
	run_session(&b, 100);
	ck_assert_str_eq(b.report.p, "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=451");
	assert_marked(&b, false);
	bench_close(&b);
}
END_TEST

/* ---- clocks: each case waits for a second or so, so all run at once -----------------------------
 */

static void silent_case(char stage)
{
	struct fake_script script = { .answers = { { stage, 1, OCTETS(""), FAKE_HANG } } };
	bool early = strchr("OCH", stage) != NULL;
	struct bytes wanted = { 0 };
	struct bench b;

	bench_open(&b, &script, 1, false);
	b.filter[0].connect_timeout_s = b.filter[0].command_timeout_s =
	    b.filter[0].content_timeout_s = 1;
	run_session(&b, 100);
	expect_failure(&wanted, early ? 'M' : stage, ON_FAILURE_TEMPFAIL);
	ck_assert_msg(strcmp(b.report.p, wanted.p) == 0, "silent at %c: is %s, not %s", stage,
	    b.report.p, wanted.p);
	bytes_free(&wanted);
	bench_close(&b);
}

/* PROGRESS starts the inactivity clock again, and never the total. */
static void progress_case(char stage)
{
	struct fake_script script = { .answers = { { stage, 1, OCTETS(""), FAKE_PROGRESS } } };
	struct bytes wanted = { 0 };
	struct bench b;
	int64_t begun;

	bench_open(&b, &script, 1, false);
	b.filter[0].command_timeout_s = b.filter[0].content_timeout_s = 1;
	b.filter[0].total_timeout_s = 2;
	begun = filter_now_ms();
	run_session(&b, 100);
	ck_assert_int_ge(filter_now_ms() - begun, 1900);
	expect_failure(&wanted, stage, ON_FAILURE_TEMPFAIL);
	ck_assert_msg(strcmp(b.report.p, wanted.p) == 0, "progress at %c: is %s, not %s", stage,
	    b.report.p, wanted.p);
	bytes_free(&wanted);
	bench_close(&b);
}

/* A filter that does not read: what is to be written has its clock too. */
static void unread_case(char stage)
{
	struct fake_script script = { .protocol = 0x0ff080,
		.answers = { { stage, 1, OCTETS(""), FAKE_HANG } } };
	struct bench b;

	bench_open(&b, &script, 1, false);
	b.filter[0].content_timeout_s = 1;
	run_session(&b, 900000);
	ck_assert_str_eq(b.report.p, "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=451");
	bench_close(&b);
}

static const struct {
	void (*run)(char stage);
	char stage;
} clocks[] = {
	{ silent_case, 'O' },
	{ silent_case, 'C' },
	{ silent_case, 'H' },
	{ silent_case, 'M' },
	{ silent_case, 'R' },
	{ silent_case, 'T' },
	{ silent_case, 'L' },
	{ silent_case, 'N' },
	{ silent_case, 'B' },
	{ silent_case, 'E' },
	{ progress_case, 'M' },
	{ progress_case, 'B' },
	{ progress_case, 'E' },
	{ unread_case, 'N' },
};
START_TEST(timeouts)
{
	pid_t pids[COUNT(clocks)];

	for (size_t i = 0; i < COUNT(clocks); i++) {
		if ((pids[i] = fork()) != 0)
			continue;
		clocks[i].run(clocks[i].stage);
		_exit(0);
	}
	for (size_t i = 0; i < COUNT(clocks); i++) {
		int status = -1;

		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert_msg(status == 0, "case %zu (stage %c)", i, clocks[i].stage);
	}
}
END_TEST

/* ---- nobody there
 * ---------------------------------------------------------------------------------- */

START_TEST(refuses_connections)
{
	static const struct fake_script script = { 0 };
	struct bytes wanted = { 0 };
	struct bench b;

	bench_open(&b, &script, 1, false);
	b.filter[0].on_failure = _i;
	(void)snprintf(
	    b.filter[0].socket.path, sizeof(b.filter[0].socket.path), "%s/none", b.fake[0].folder);
	chain_free(&b.chain);
	filters_free(&b.filters);
	b.filters = filters_new(b.base, &b.settings, NULL);
	b.chain = chain_new(b.filters);
	run_session(&b, 100);
	expect_failure(&wanted, 'M', _i);
	ck_assert_str_eq(b.report.p, wanted.p);
	/* CONNECT and MAIL have tried; after a third time nobody tries for some seconds. */
	ck_assert_uint_eq(b.filters->v[0].failures, 2);
	run_message(&b, 0);
	ck_assert_uint_eq(b.filters->v[0].failures, 3);
	ck_assert(!filter_may_try(&b.filters->v[0]));
	run_message(&b, 0);
	ck_assert_uint_eq(b.filters->v[0].failures, 3);
	/* Then it is back. */
	ck_assert_int_eq(symlink("s", b.filter[0].socket.path), 0);
	b.filters->v[0].rest_until_ms = 0;
	bytes_clear(&b.report);
	run_message(&b, 0);
	ck_assert_str_eq(b.report.p, "mail=ok rcpt=ok rcpt=ok data=ok end=ok");
	ck_assert_uint_eq(b.filters->v[0].failures, 0);
	(void)unlink(b.filter[0].socket.path);
	bytes_free(&wanted);
	bench_close(&b);
}
END_TEST

/* ---- several filters
 * --------------------------------------------------------------------------------- */

START_TEST(edits_reach_the_next)
{
	static const struct fake_script scripts[2] = {
		{ .answers = { { 'E', 0,
		      OCTETS("\0\0\0\13i\0\0\0\0X-A\0v\0"
			     "\0\0\0\14m\0\0\0\1From\0z\0"
			     "\0\0\0\12m\0\0\0\1X-B\0\0"
			     "\0\0\0\4bab\n\0\0\0\3bcd"
			     "\0\0\0\6q why\0\0\0\0\1a"),
		      FAKE_GO_ON } } },
		{ .answers = { { 'E', 0, OCTETS("\0\0\0\13i\0\0\0\1X-C\0v\0\0\0\0\1c"),
		      FAKE_GO_ON } } },
	};
	struct bench b;
	char *header;

	bench_open(&b, scripts, 2, false);
	run_session(&b, 100);
	ck_assert_str_eq(b.report.p, "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=ok");
	assert_taken(&b.fake[1], &b.fake[1].headers,
	    "X-A|v\nFrom|z\nSubject| two/\tlines\nX-Empty|\nX-Weir-Quarantine|why\n");
	header = header_of(&b.mail);
	ck_assert_str_eq(header,
	    "X-A: v\r\nX-C: v\r\nReceived: own\r\nFrom: z\r\nSubject:  two\r\n\tlines\r\n"
	    "X-Empty:\r\nX-Weir-Quarantine: why\r\n");
	free(header);
	assert_taken(&b.fake[1], &b.fake[1].body, "ab\r\ncd\r\n");
	bench_close(&b);
}
END_TEST

/* A body of any size comes in one packet from some filters. */
START_TEST(large_new_body)
{
	static char octets[5 + 500000 + 5];
	struct fake_script script = { .answers = {
					  { 'E', 0, octets, sizeof(octets), FAKE_GO_ON } } };
	struct bench b;

	memset(octets, 'n', sizeof(octets));
	for (size_t i = 0; i < 5; i++) {
		octets[i] = "\0\7\241\41b"[i];
		octets[5 + 500000 + i] = "\0\0\0\1c"[i];
	}
	bench_open(&b, &script, 1, _i == 1);
	run_session(&b, 100);
	ck_assert_str_eq(b.report.p, "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=ok");
	ck_assert_uint_eq(spool_size(b.mail.body), 500002);
	bench_close(&b);
}
END_TEST

static const struct {
	struct fake_answer answer; /* of the second of three */
	const char *report, *first, *third;
} folds[] = {
	{ { 'C', 0, OCTETS("\0\0\0\1r"), FAKE_GO_ON }, "connect=550 mail=550", "O C Q", NULL },
	{ { 'H', 0, OCTETS("\0\0\0\1t"), FAKE_GO_ON }, "connect=ok helo=451 mail=451", "O C H Q",
	    "O C Q" },
	{ { 'M', 0, OCTETS("\0\0\0\1r"), FAKE_GO_ON }, "connect=ok helo=ok mail=550", "O C H M A Q",
	    "O C H Q" },
	{ { 'R', 1, OCTETS("\0\0\0\1r"), FAKE_GO_ON },
	    "connect=ok helo=ok mail=ok rcpt=550 rcpt=ok data=ok end=ok",
	    "O C H M R R T L L L N B10 E Q", "O C H M R T L L L N B10 E Q" },
	{ { 'R', 2, OCTETS("\0\0\0\1d"), FAKE_GO_ON },
	    "connect=ok helo=ok mail=ok rcpt=ok rcpt=discard", "O C H M R R A Q", "O C H M R A Q" },
	{ { 'T', 0, OCTETS("\0\0\0\1t"), FAKE_GO_ON },
	    "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=451", "O C H M R R T A Q",
	    "O C H M R R A Q" },
	{ { 'L', 2, OCTETS("\0\0\0\1r"), FAKE_GO_ON },
	    "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=550",
	    "O C H M R R T L L L N B10 E Q", "O C H M R R T A Q" },
	{ { 'E', 0, OCTETS("\0\0\0\1d"), FAKE_GO_ON },
	    "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=discard",
	    "O C H M R R T L L L N B10 E Q", "O C H M R R T A Q" },
	{ { 'M', 0, OCTETS("\0\0\0\1a"), FAKE_GO_ON },
	    "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=ok",
	    "O C H M R R T L L L N B10 E Q", "O C H M R R T L L L N B10 E Q" },
};
START_TEST(folding)
{
	struct fake_script scripts[3] = { 0 };
	struct bench b;

	scripts[1].answers[0] = folds[_i].answer;
	bench_open(&b, scripts, 3, false);
	run_session(&b, 10);
	ck_assert_str_eq(b.report.p, folds[_i].report);
	assert_trace(&b, 0, folds[_i].first);
	if (folds[_i].third != NULL) /* at CONNECT it may still be negotiating */
		assert_trace(&b, 2, folds[_i].third);
	bench_close(&b);
}
END_TEST

/* The first has left: the content streams to nobody, and the second still gets it all. */
START_TEST(first_leaves_in_the_body)
{
	static const struct fake_script scripts[2] = {
		{ .answers = { { 'B', 1, OCTETS("\0\0\0\1a"), FAKE_GO_ON } } }, { 0 }
	};
	struct bench b;

	bench_open(&b, scripts, 2, false);
	run_session(&b, 200000);
	ck_assert_str_eq(b.report.p, "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=ok");
	assert_trace(&b, 1, "O C H M R R T L L L N B65535 B65535 B65535 B3395 E Q");
	bench_close(&b);
}
END_TEST

START_TEST(no_recipient_left)
{
	static const struct fake_script script = {
		.answers = { { 'E', 0, OCTETS("\0\0\0\12-r@e.test\0\0\0\0\1c"), FAKE_GO_ON } },
	};
	struct bench b;

	bench_open(&b, &script, 1, false);
	run_session(&b, 10);
	ck_assert_str_eq(
	    b.report.p, "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=discard");
	bench_close(&b);
}
END_TEST

/* The spool cannot take the new body: the machine's fault, so 452, and no edit is made. */
START_TEST(full_disk)
{
	static const struct fake_script script = {
		.answers = { { 'E', 0, OCTETS("\0\0\0\7hX-A\0v\0\0\0\0\7babcdef\0\0\0\1c"),
		    FAKE_GO_ON } },
	};
	struct bench b;

	bench_open(&b, &script, 1, false);
	b.settings.spool.memory_bytes = 2;
	run_session(&b, 10);
	ck_assert_str_eq(b.report.p, "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=452");
	assert_marked(&b, false);
	bench_close(&b);
}
END_TEST

/* ---- UNKNOWN
 * --------------------------------------------------------------------------------------- */

static const struct {
	uint32_t version, protocol;
	const char *trace; /* asked after CONNECT, HELO, MAIL, RCPT, DATA and the end */
} unknowns[] = {
	{ 6, 0, "O C U H U M U R U T L L L N E U Q" },
	{ 6, 0x200, "O C U H U M U R L L L N E U Q" },
	{ 6, 0x100, "O C H M R T L L L N E Q" },
	{ 2, 0, "O C H M R L L L N E Q" },
	{ 3, 0, "O C U H U M U R L L L N E U Q" },
};
START_TEST(unknown_where_it_is_safe)
{
	struct fake_script script = { .version = unknowns[_i].version,
		.protocol = unknowns[_i].protocol };
	struct bench b;

	bench_open(&b, &script, 1, false);
	ck_assert(ask_connect(&b) && ask_unknown(&b) && ask_helo(&b) && ask_unknown(&b) &&
	    ask_mail(&b) && ask_unknown(&b) && ask_rcpt(&b, "r@e.test") && ask_unknown(&b) &&
	    ask_data(&b) && ask_unknown(&b));
	mail_make(&b, 0);
	chain_header(b.chain, &b.mail);
	ck_assert(ask_end(&b) && ask_unknown(&b));
	assert_trace(&b, 0, unknowns[_i].trace);
	bench_close(&b);
}
END_TEST

/* Between two chunks of BDAT, while the filter still owes a reply to the header. */
START_TEST(unknown_inside_of_content)
{
	static const struct fake_script script = { 0 };
	struct bench b;

	bench_open(&b, &script, 1, false);
	ck_assert(ask_connect(&b) && ask_helo(&b) && ask_mail(&b) && ask_rcpt(&b, "r@e.test") &&
	    ask_data(&b));
	mail_make(&b, 100);
	chain_header(b.chain, &b.mail);
	ck_assert(ask_unknown(&b));
	stream_body(&b, 50);
	ck_assert(ask_unknown(&b) && ask_end(&b));
	assert_trace(&b, 0, "O C H M R T L L L N B100 E Q");
	bench_close(&b);
}
END_TEST

START_TEST(unknown_may_say_its_own)
{
	static const struct fake_script script = {
		.answers = { { 'U', 1, OCTETS("\0\0\0\21y452 4.7.1 Later\0"), FAKE_GO_ON } },
	};
	struct bench b;

	bench_open(&b, &script, 1, false);
	(void)ask_connect(&b);
	ck_assert(!ask_unknown(&b));
	ck_assert_str_eq(b.answer.reply.text, "Later");
	bytes_clear(&b.report);
	ck_assert(ask_helo(&b));
	run_message(&b, 0);
	ck_assert_str_eq(b.report.p, "helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=ok");
	bench_close(&b);
}
END_TEST

/* ---- transactions that end early
 * ----------------------------------------------------------------- */

static void begin(struct bench *b)
{
	ck_assert(ask_connect(b) && ask_helo(b) && ask_mail(b) && ask_rcpt(b, "r@e.test"));
}

static void abort_after_mail(struct bench *b)
{
	ck_assert(ask_connect(b) && ask_helo(b) && ask_mail(b));
	chain_abort(b->chain);
}
static void abort_after_rcpt(struct bench *b)
{
	begin(b);
	chain_abort(b->chain);
}
static void abort_after_data(struct bench *b)
{
	begin(b);
	ck_assert(ask_data(b));
	chain_abort(b->chain);
}
static void abort_in_rcpt(struct bench *b)
{
	begin(b);
	chain_rcpt(b->chain, SLICE("q@e.test"), SLICE(""), on_done, b);
	chain_abort(b->chain);
}
static void abort_in_content(struct bench *b)
{
	begin(b);
	ck_assert(ask_data(b));
	mail_make(b, 100);
	chain_header(b->chain, &b->mail);
	chain_abort(b->chain);
}
static void abort_in_end(struct bench *b)
{
	begin(b);
	ck_assert(ask_data(b));
	mail_make(b, 0);
	chain_header(b->chain, &b->mail);
	chain_end(b->chain, &b->mail, on_done, b);
	while (b->fake[0].trace.n < strlen("O C H M R T L L L N E"))
		(void)event_base_loop(b->base, EVLOOP_NONBLOCK);
	chain_abort(b->chain);
}
static void helo_inside(struct bench *b)
{
	begin(b);
	ck_assert(ask_helo(b));
}
static void abort_twice(struct bench *b)
{
	begin(b);
	chain_abort(b->chain);
	chain_abort(b->chain);
}
static void abort_outside(struct bench *b)
{
	ck_assert(ask_connect(b) && ask_helo(b));
	chain_abort(b->chain);
}

static const struct {
	void (*run)(struct bench *b);
	const char *trace;
	int connections;
} aborts[] = {
	{ abort_outside, "O C H M R R T L L L N B10 E Q", 1 },
	{ abort_after_mail, "O C H M A M R R T L L L N B10 E Q", 1 },
	{ abort_after_rcpt, "O C H M R A M R R T L L L N B10 E Q", 1 },
	{ abort_after_data, "O C H M R T A M R R T L L L N B10 E Q", 1 },
	{ abort_in_rcpt, "O C H M R R A M R R T L L L N B10 E Q", 1 },
	{ abort_in_content, "O C H M R T L A M R R T L L L N B10 E Q", 1 },
	{ abort_in_end, "O C H M R T L L L N E O C H M R R T L L L N B10 E Q", 2 },
	{ helo_inside, "O C H M R A H M R R T L L L N B10 E Q", 1 },
	{ abort_twice, "O C H M R A M R R T L L L N B10 E Q", 1 },
};
START_TEST(aborted)
{
	/* Slow at its first end, so that the abort comes before the answer. */
	static const struct fake_script script = { .times = 1,
		.answers = { { 'E', 1, OCTETS(""), FAKE_HANG } } };
	struct fake_script quick = { 0 };
	struct bench b;

	bench_open(&b, aborts[_i].connections == 2 ? &script : &quick, 1, false);
	aborts[_i].run(&b);
	bytes_clear(&b.report);
	run_message(&b, 10);
	ck_assert_str_eq(b.report.p, "mail=ok rcpt=ok rcpt=ok data=ok end=ok");
	ck_assert_int_eq(atomic_load(&b.fake[0].connections), aborts[_i].connections);
	assert_trace(&b, 0, aborts[_i].trace);
	bench_close(&b);
}
END_TEST

/* Freed in the middle of each question: silence, and no leak. */
START_TEST(freed_while_asking)
{
	static const struct fake_script script = { 0 };
	struct address client = { .family = AF_UNSPEC };
	struct bench b;

	bench_open(&b, &script, 1, false);
	if (_i == 0)
		chain_connect(b.chain, SLICE("c"), &client, on_done, &b);
	else
		begin(&b);
	if (_i == 1)
		chain_rcpt(b.chain, SLICE("q@e.test"), SLICE(""), on_done, &b);
	if (_i == 2)
		chain_data(b.chain, on_done, &b);
	if (_i >= 3) {
		ck_assert(ask_data(&b));
		mail_make(&b, 1000);
		chain_header(b.chain, &b.mail);
		chain_body(b.chain, SLICE("x\r\n"));
	}
	if (_i == 4)
		chain_end(b.chain, &b.mail, on_done, &b);
	chain_free(&b.chain);
	(void)event_base_loop(b.base, EVLOOP_NONBLOCK);
	ck_assert(!b.answered);
	bench_close(&b);
}
END_TEST

/* ---- back-pressure, and early verdicts
 * ------------------------------------------------------------- */

static void on_ready(void *arg)
{
	struct bench *b = arg;

	b->ready++;
}

static const struct {
	const char *octets;
	size_t n;
	const char *report;
	bool decided;
} slow[] = {
	{ OCTETS("\0\0\0\1c"), "end=ok", false },
	{ OCTETS("\0\0\0\1a"), "end=ok", false },
	{ OCTETS("\0\0\0\1r"), "end=550", true },
	{ OCTETS("garbage garbage"), "end=451", true },
};
/* The filter takes its time over the end of the header; the client must wait at some point, and is
 * let go on whatever comes then. */
START_TEST(back_pressure)
{
	struct fake_script script = {
		.answers = { { 'N', 1, slow[_i].octets, slow[_i].n, FAKE_WAIT } },
	};
	struct bench b;
	size_t taken = 0;

	bench_open(&b, &script, 1, false);
	chain_on_ready(b.chain, on_ready, &b);
	begin(&b);
	ck_assert(ask_data(&b));
	mail_make(&b, 900000);
	chain_header(b.chain, &b.mail);
	while (chain_ready(b.chain)) {
		char chunk[4096];
		struct slice got;

		ck_assert_int_eq(
		    spool_read(b.mail.body, taken, chunk, sizeof(chunk), &got, NULL), 0);
		ck_assert_uint_gt(got.n, 0);
		chain_body(b.chain, got);
		taken += got.n;
		(void)event_base_loop(b.base, EVLOOP_NONBLOCK);
	}
	ck_assert_uint_lt(taken, 400000);
	ck_assert_int_eq(b.ready, 0);
	ck_assert(!chain_decided(b.chain));
	atomic_store(&b.fake[0].release, true);
	while (b.ready == 0)
		(void)event_base_loop(b.base, EVLOOP_ONCE);
	ck_assert(chain_ready(b.chain));
	ck_assert_int_eq(chain_decided(b.chain), slow[_i].decided);
	bytes_clear(&b.report);
	(void)ask_end(&b);
	ck_assert_str_eq(b.report.p, slow[_i].report);
	bench_close(&b);
}
END_TEST

/* ---- no filters
 * ------------------------------------------------------------------------------------- */

START_TEST(no_filters)
{
	struct bench b;

	bench_open(&b, NULL, 0, false);
	ck_assert(chain_empty(b.chain));
	run_session(&b, 100);
	ck_assert_str_eq(b.report.p, "connect=ok helo=ok mail=ok rcpt=ok rcpt=ok data=ok end=ok");
	bench_close(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("chain");
	TCase *tc = tcase_create("chain");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, plain, 0, 2);
	tcase_add_test(tc, own_macros);
	tcase_add_test(tc, leading_space);
	tcase_add_loop_test(tc, body_chunks, 0, COUNT(chunks));
	tcase_add_loop_test(tc, verdict_at_stage, 0, 9 * COUNT(verdicts));
	tcase_add_loop_test(tc, trace_of_verdict, 0, COUNT(traces));
	tcase_add_loop_test(tc, switched_off, 0, COUNT(switched));
	tcase_add_loop_test(tc, large_without_replies, 0, 2);
	tcase_add_loop_test(tc, misbehaviour, 0, COUNT(misbehaviours));
	tcase_add_loop_test(tc, stray_reply, 0, COUNT(strays));
	tcase_add_loop_test(tc, closed_between_messages, 0, 2);
	tcase_add_loop_test(tc, broken_over_an_aborted_message, 0, (int)COUNT(over_aborted));
	tcase_add_test(tc, undeclared_edit);
	tcase_add_test(tc, timeouts);
	tcase_add_loop_test(tc, refuses_connections, 0, COUNT(on_failures));
	tcase_add_test(tc, edits_reach_the_next);
	tcase_add_loop_test(tc, large_new_body, 0, 2);
	tcase_add_loop_test(tc, folding, 0, COUNT(folds));
	tcase_add_test(tc, first_leaves_in_the_body);
	tcase_add_test(tc, no_recipient_left);
	tcase_add_test(tc, full_disk);
	tcase_add_loop_test(tc, unknown_where_it_is_safe, 0, COUNT(unknowns));
	tcase_add_test(tc, unknown_inside_of_content);
	tcase_add_test(tc, unknown_may_say_its_own);
	tcase_add_loop_test(tc, aborted, 0, COUNT(aborts));
	tcase_add_loop_test(tc, freed_while_asking, 0, 5);
	tcase_add_loop_test(tc, back_pressure, 0, COUNT(slow));
	tcase_add_test(tc, no_filters);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
