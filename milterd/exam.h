/*
 * exam - a session and the message in hand under examination: stages come in, a verdict comes out.
 * The daemon feeds it from libmilter's callbacks, `weir check` from a file; there is no other way
 * to a verdict.
 * Engine     what all exams share: an immutable snapshot of settings and rules, held by reference
 *            count, and the services (store, bayes, scanner) that live longer than a snapshot. An
 *            exam keeps its engine for its whole life: what the MTA was asked to send was asked
 *            for that engine's rules. Recipients the rules of the rcpt stage run for each
 *            recipient alone, to refuse him or not; from the data stage on they have run once for
 *            all recipients that were not refused, as a list.
 * Failure    memory or a limit of ours that gives out makes the verdict of that message tempfail;
 *            exam_failed says why. Nothing else of the session is touched.
 * Threads    an exam is used by one thread at a time; an engine by any number.
 */
#ifndef WEIR_EXAM_H
#define WEIR_EXAM_H

#include "milterd/learn/bayes.h"
#include "milterd/message/message.h"
#include "milterd/rules/rules.h"
#include "milterd/scanner_client.h"
#include "weir/settings.h"

struct services {
	struct store *store;
	struct bayes *bayes;     /* NULL: bayes facts are unknown */
	struct scanner *scanner; /* NULL: virus facts are unknown */
};

struct engine {
	struct ruleset *rules;
	const struct services *services; /* not owned */
	size_t message_bytes, body_text_bytes;
	unsigned without; /* EXAM_WITHOUT_*: providers that are not asked; set before the first exam
			   */
	bool all_facts;   /* report every fact that is not costly, for `weir check`; set likewise */
	_Atomic unsigned references;
};
enum { EXAM_WITHOUT_VIRUS = 1, EXAM_WITHOUT_BAYES = 2, EXAM_WITHOUT_DNS = 4 };

/* Load the rules; NULL with findings. The first reference is the caller's. */
struct engine *engine_new(
    const struct milterd_settings *s, const struct services *services, struct findings *f);
struct engine *engine_ref(struct engine *g);
void engine_unref(struct engine **g);
/* The bit of a provider's name for engine.without, or 0. */
unsigned exam_without_bit(struct slice name);

/* What is known of the session and envelope; providers read it. Texts are owned by the exam. */
struct client {
	struct address address;
	struct slice name; /* verified reverse name, "" if none */
	struct slice listener, tls_version, tls_cipher, auth_user, auth_mechanism;
	struct slice helo;
	/* What weir-proxy found wrong with the client's SMTP: words with commas between. .p NULL
	 * where whoever is in front does not look. */
	struct slice findings_at_mail, findings;
};
struct envelope_path {
	struct slice address, domain; /* without brackets; domain in lower case; "" for <> */
};

struct exam;
/* One session. Holds a reference to g until exam_free. NULL without memory. */
struct exam *exam_new(struct engine *g);
void exam_free(struct exam **x);

/* Each returns true when the verdict is final (exam_verdict says which). What comes after a final
 * verdict is taken and ignored. Texts are copied. */
bool exam_connect(struct exam *x, const struct client *c);
/* A repeated HELO is a new beginning of the session's greeting: a message in hand is forgotten. */
bool exam_helo(struct exam *x, struct slice name);
/* Known from the next helo or mail on. */
void exam_tls(struct exam *x, struct slice version, struct slice cipher);
/* What was found wrong with the client's SMTP ("early_talk,pipelining"; .p NULL: nobody looked), as
 * known at MAIL, before exam_mail; and at the end of the message, before exam_end. */
void exam_findings(struct exam *x, struct slice words, bool at_end);
/* path: as in the command, with or without brackets. */
bool exam_mail(struct exam *x, struct slice path, uint64_t declared_size, struct slice auth_user,
    struct slice auth_mechanism);
/* For this recipient alone: true when he is refused, by a rule or because another policy judges
 * him; *reply is what to tell him, its p NULL where the refusal has no text (then *tempfail says
 * which class). A refused recipient is not part of the envelope. */
bool exam_rcpt(struct exam *x, struct slice path, struct slice *reply, bool *tempfail);
bool exam_data(struct exam *x);
void exam_field(struct exam *x, struct slice name, struct slice value, bool leading_space);
/* A whole message as a file holds it, in place of exam_field and exam_body. */
void exam_raw(struct exam *x, struct slice file);
bool exam_header_end(struct exam *x);
void exam_body(struct exam *x, struct slice octets);
/* Parse, ask the providers, run the last rules: final always. */
void exam_end(struct exam *x);
/* Forget the message, keep the session (RSET, or after a verdict). */
void exam_reset(struct exam *x);

/* The verdict so far; valid until the next call that takes the exam further. */
const struct verdict *exam_verdict(struct exam *x);
/* How far the message in hand has come. */
enum stage exam_stage(const struct exam *x);
bool exam_final(const struct exam *x);
/* Something outside the exam failed the message: its verdict is tempfail. why lives on. */
void exam_give_up(struct exam *x, const char *why);
/* Why the message could not be examined, or NULL. */
const char *exam_failed(const struct exam *x);
/* What the rules were told of a fact: unknown also where none asked. */
struct value exam_told(struct exam *x, const char *name);
/* Time spent on the message in hand so far, waiting for its octets not counted. */
double exam_elapsed_ms(const struct exam *x);
/* The object that `weir check --json` prints: a new reference, NULL without memory. */
json_t *exam_json(struct exam *x);
/* The tree of conditions of one rule with what each came to: a new reference, NULL for an unknown
 * rule. */
json_t *exam_explain(struct exam *x, const char *rule);

/* For providers. */
struct message *exam_message(struct exam *x);
const struct client *exam_client(struct exam *x);
const struct envelope_path *exam_reverse_path(struct exam *x);
uint64_t exam_declared_size(struct exam *x); /* 0: none was declared */
/* The recipients accepted so far. */
const struct envelope_path *exam_recipients(struct exam *x, size_t *n);
/* The recipient in hand at STAGE_RCPT; NULL at every other stage. */
const struct envelope_path *exam_recipient(struct exam *x);
struct arena *exam_arena(struct exam *x); /* of the message in hand */
const struct services *exam_services(struct exam *x);
unsigned exam_without(struct exam *x);
/* A pointer that the provider may use for what its facts share (one scan, one score): NULL at first
 * for each message. What it points to lives in the exam's arena. */
void **exam_memo(struct exam *x, const struct provider *p);
/* Where the body.* texts that rules see end. */
size_t exam_body_text_bytes(struct exam *x);

#endif
