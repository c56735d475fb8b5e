/*
 * exam - a session and the message in hand under examination: stages come in, a verdict comes out.
 * The daemon feeds it from libmilter's callbacks, `weir check` from a file; there is no other way
 * to a verdict. Engine     what all exams share: an immutable snapshot of settings and rules, held
 * by reference count, and the services (store, bayes, scanner) that live longer than a snapshot.
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
	unsigned without; /* EXAM_WITHOUT_*: providers that are not asked */
	bool all_facts;   /* compute every fact that is not costly, for `weir check` */
	_Atomic unsigned references;
};
enum { EXAM_WITHOUT_VIRUS = 1, EXAM_WITHOUT_BAYES = 2, EXAM_WITHOUT_DNS = 4 };

/* Load the rules; NULL with findings. The first reference is the caller's. */
struct engine *engine_new(
    const struct milterd_settings *s, const struct services *services, struct findings *f);
struct engine *engine_ref(struct engine *g);
void engine_unref(struct engine **g);

/* What is known of the session and envelope; providers read it. Texts are owned by the exam. */
struct client {
	struct address address;
	struct slice name; /* verified reverse name, "" if none */
	struct slice listener, tls_version, tls_cipher, auth_user, auth_mechanism;
	struct slice helo;
};
struct envelope_path {
	struct slice address, domain; /* "" for <> */
};

struct exam;
/* One session. Holds a reference to g until exam_free; exam_renew swaps it between messages. */
struct exam *exam_new(struct engine *g);
void exam_free(struct exam **x);
void exam_renew(struct exam *x, struct engine *g);

/* Each returns true when the verdict is final (exam_verdict says which). id: the MTA's queue id or
 * our own. */
bool exam_connect(struct exam *x, const struct client *c);
bool exam_helo(struct exam *x, struct slice name);
bool exam_tls(struct exam *x, struct slice version,
    struct slice cipher); /* known from the next helo or mail on */
bool exam_mail(struct exam *x, struct slice path, uint64_t declared_size, struct slice auth_user,
    struct slice auth_mechanism);
/* verdict for this recipient alone: *reply as "550 ..." when he is refused (by a rule or for his
 * policy). */
bool exam_rcpt(struct exam *x, struct slice path, struct slice *reply);
bool exam_data(struct exam *x);
bool exam_field(struct exam *x, struct slice name, struct slice value, bool leading_space);
bool exam_header_end(struct exam *x);
bool exam_body(struct exam *x, struct slice octets);
/* Parse, wait for the providers, run the last rules: final always. */
void exam_end(struct exam *x);
/* Forget the message, keep the session (RSET, or after a verdict). */
void exam_reset(struct exam *x);

const struct verdict *exam_verdict(struct exam *x);
/* The object that `weir check --json` prints; explain adds the tree of conditions. A new reference.
 */
json_t *exam_json(struct exam *x);

/* For providers. */
struct message *exam_message(struct exam *x);
const struct client *exam_client(struct exam *x);
const struct envelope_path *exam_reverse_path(struct exam *x);
uint64_t exam_declared_size(struct exam *x);
/* The recipient in hand at STAGE_RCPT, and how many there are; all of them at later stages. */
const struct envelope_path *exam_recipients(struct exam *x, size_t *n);
const struct envelope_path *exam_recipient(struct exam *x);
struct arena *exam_arena(struct exam *x);
const struct services *exam_services(struct exam *x);
unsigned exam_without(struct exam *x);

#endif
