/*
 * exam_body - the inside of an exam, for exam.c and exam_json.c alone.
 */
#ifndef MILTERD_EXAM_BODY_H
#define MILTERD_EXAM_BODY_H

#include "milterd/exam.h"

enum { EXAM_PROVIDERS_MAX = 32 };

/* Session texts are kept in place, cut to what fits: a client that greets a thousand times costs no
 * memory. */
struct exam_texts {
	char name[256], listener[128], tls_version[64], tls_cipher[128], helo[1024], user[512],
	    mechanism[64], findings_at_mail[512], findings[512];
};

struct exam {
	struct engine *engine;
	struct client client;
	struct exam_texts texts;

	/* of the message in hand */
	struct arena arena;
	struct message message;
	struct evaluation *evaluation;
	enum stage stage;
	bool final;
	struct envelope_path reverse_path;
	uint64_t declared_size;
	struct envelope_path *recipients, hand;
	size_t recipient_count, recipient_cap, recipients_asked;
	bool in_hand;
	struct value *facts; /* what the rules were told, by reference */
	void *memo[EXAM_PROVIDERS_MAX];
	double asked_ms[EXAM_PROVIDERS_MAX], spent_ms;
	const char *failed;
	struct verdict failure; /* what exam_verdict says once `failed` is set */
};

#endif
