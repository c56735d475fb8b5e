/*
 * fake_filter - a filter in a thread, for the tests of the chain: answers by a script, misbehaves
 * where told, and keeps a trace of what it got. It is as strict as libmilter about the order of
 * commands: what libmilter would drop without a word stands in the trace behind a '!'.
 */
#ifndef TESTS_FAKE_FILTER_H
#define TESTS_FAKE_FILTER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include "weir/net.h"
#include "weir/slice.h"

enum fake_act {
	FAKE_GO_ON,
	FAKE_CLOSE,
	FAKE_HANG,     /* read nothing until the peer closes */
	FAKE_PROGRESS, /* PROGRESS for ever */
	FAKE_WAIT,     /* until `release` is set */
};

struct fake_answer {
	char command; /* 0 ends the list */
	int nth;      /* the nth command of that kind on a connection, from 1; 0: every one */
	const char *octets;
	size_t n;          /* sent as they are, instead of CONTINUE */
	enum fake_act act; /* after that */
};

struct fake_script {
	uint32_t version, actions, protocol; /* version 0: 6 and all actions */
	const char *lists;                   /* macro lists of the negotiation */
	size_t lists_n;
	struct fake_answer answers[8];
	int times; /* connections that the answers hold for; later ones say CONTINUE. 0: all */
};

struct fake {
	struct endpoint where;
	char folder[64];
	int listener;
	struct fake_script script;
	pthread_t thread;
	atomic_int connections, closed;
	atomic_bool release, stop;
	pthread_mutex_t lock; /* of what follows */
	struct bytes trace;   /* "O C H M R T L L N B E Q" */
	struct bytes macros;  /* "M[i=Q1 {mail_addr}=a] ..." */
	struct bytes headers; /* "Name|value\n" with LF of folds as '/' */
	struct bytes args;    /* payloads of C, H, M, R, U; NUL as '|' */
	struct bytes body;
};

void fake_start(struct fake *f, const struct fake_script *script, bool tcp);
void fake_stop(struct fake *f);
/* A copy of what stands there; empties it. The caller frees it. */
char *fake_take(struct fake *f, struct bytes *what);

#endif
