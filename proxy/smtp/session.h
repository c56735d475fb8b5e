/*
 * session - one client's SMTP session: what the files of smtp/ share.
 * Order      one command at a time: while a filter or a backend is asked (`busy`), what the client
 *            sends waits. Replies are gathered and leave together when nothing more is to be read,
 *            or when a question takes long.
 * Life       session_end may be called anywhere; the memory goes when the loop comes round
 *            (worker_ended), and until then `dead` keeps late answers out.
 * Threads    the worker's loop.
 */
#ifndef PROXY_SMTP_SESSION_H
#define PROXY_SMTP_SESSION_H

#include <event2/event_struct.h>

#include "proxy/listen/listener.h"
#include "proxy/smtp/line.h"
#include "proxy/stream.h"
#include "proxy/upstream/relay.h"
#include "proxy/worker.h"

enum session_state {
	SESSION_START, /* no HELO yet */
	SESSION_READY,
	SESSION_MAIL, /* MAIL was accepted */
	SESSION_RCPT, /* and at least one recipient */
	/* 354 was said; the end of the data, or of the last chunk, may have been read */
	SESSION_DATA,
	SESSION_BDAT,  /* between two chunks */
	SESSION_CHUNK, /* the octets of one are read */
	SESSION_STATES,
};

struct intake;
struct login;
struct front;
struct client_name;
struct name_query;
struct bdat;

struct session {
	TAILQ_ENTRY(session) link; /* the worker's list */
	struct worker *worker;
	const struct proxy_settings *settings;
	struct listener *listener;
	struct stream *stream;
	char id[20];

	/* who the client is (identity.c, command_xclient.c, auth.c) */
	struct address client;
	char client_text[ADDRESS_TEXT_MAX];
	bool may_xclient;
	struct front *front;              /* NULL: nobody in front of us told anything */
	struct client_name *name;         /* NULL: not known (yet), see name_query */
	struct name_query *name_query;    /* it is being looked up */
	void (*named)(struct session *s); /* who waits for it */
	struct login *login;              /* NULL before AUTH was said */

	/* what he does wrong (findings.c, bad_input.c, commands.c) */
	uint64_t bare_newlines; /* CRs and LFs that stood alone, so far */
	int bare_newline;       /* enum bare_newline, as it holds for this client */
	unsigned findings;      /* bits of enum found */
	unsigned errors;        /* replies of 5yz since the last message that went well */
	unsigned junk;          /* commands that brought no mail nearer, likewise */
	unsigned beyond;        /* recipients over the limit, likewise */

	/* how far he is */
	enum session_state state;
	char *helo;
	struct abilities upstream; /* of all backends, as they were at the first HELO or EHLO */
	uint64_t message_max;      /* octets; ours and the backends' limit, from then on */
	unsigned offered;          /* enum extension, as EHLO said */
	unsigned transactions;     /* begun so far */
	bool esmtp;                /* EHLO, not HELO */
	bool secured;              /* the TLS handshake is done */

	/* the filters and the backend */
	struct chain *chain;          /* NULL before the first HELO, and without filters */
	struct relay *relay;          /* NULL before the first recipient */
	struct chain_answer *refusal; /* of a filter at connect or HELO: answers every MAIL */
	bool refused_at_connect;
	bool introduced; /* the filters know of the connection */
	bool tls_told;   /* ... and of TLS */

	/* what runs at the moment (session.c) */
	bool processing; /* session_process is under way */
	bool busy;       /* somebody is asked, or `penalty` runs: no command until session_done */
	bool waiting;    /* for a command, since `since_ms` */
	bool owing;      /* a reply was given since the last soft error delay */
	bool penalty;    /* ... which is running */
	bool closing;    /* the last reply was said */
	bool lingering;  /* ... and written: what still comes is thrown away */
	bool gone;       /* the client is lost, but his message has left for the backend */
	bool dead;       /* session_end was called */
	struct line_reader reader;

	/* its time (clock_ms) and memory */
	struct event timer; /* commands, mail data, the end */
	struct event hold;  /* replies that wait for one another, and soft error delays */
	int64_t timer_ms;   /* when the timer runs out */
	int64_t started_ms; /* when the session began */
	int64_t since_ms;   /* see `waiting` */
	int64_t held_ms;    /* since when the filters are behind; 0: they are not */
	int64_t starved_ms; /* since when it waits for memory; 0: it does not */
	size_t memory;      /* octets; what was counted of it (memory.c) */

	/* the transaction (transaction.c) */
	struct mail mail;
	struct intake *intake; /* NULL before the mail data */
	struct bdat *bdat; /* a sequence of chunks, of a refused message too; NULL outside one */
	int64_t begun_ms;
	bool utf8;       /* MAIL said SMTPUTF8 */
	bool discard;    /* a filter did: take it, and throw it away */
	char filter[68]; /* who decided, for the log */
};

/* Counted in already (shared_enter); takes fd and front (NULL: nothing was told). */
void session_start(struct worker *w, struct listener *l, int fd, const struct address *client,
    struct front *front);
/* Close the connection now, whatever was not said yet. */
void session_end(struct session *s);
/* For the worker, after worker_ended: the memory. */
void session_free(struct session *s);
/* Between commands and transactions: 421. Else as soon as that is so. */
void session_drain(struct session *s);
/* Stress began, or ended: other timeouts hold. */
void session_hurry(struct session *s);
/* The time for draining is over. */
void session_cut(struct session *s);

/* ---- for smtp/ ---------------------------------------------------------------------------- */

/* The beginning, once the connection can be used: the greeting, or the refusal of a client that did
 * not wait for it. */
void session_greet(struct session *s);
/* 220 with our name, or the refusal of a client who is not welcome; queued. */
void session_greeting(struct session *s);

/* Queue a reply: whole lines with CR LF. 421 and 521 close (W49); 5yz counts as an error. */
void session_say(struct session *s, struct slice wire);
void session_reply(struct session *s, const struct smtp_reply *r);
/* Say it, then close. */
void session_bye(struct session *s, struct slice wire);
/* The command that made the session busy is answered: go on. */
void session_done(struct session *s);
/* Something changed: run the commands that lie there as long as none has to wait, and let the
 * replies go. */
void session_process(struct session *s);
/* Has the client sent more than was taken? */
bool session_has_input(const struct session *s);

/* Run the timer out at `at_ms` (clock_ms) at the latest: where it runs out before, it stays as it
 * is. */
void session_arm_by(struct session *s, int64_t at_ms);

/* starttls.c: TLS, from the start or by STARTTLS (RFC 3207). */
/* Has it begun? See `secured` for the end of the handshake. */
bool session_secure(const struct session *s);
/* Is it in the reply to EHLO? */
bool starttls_offered(const struct session *s);
/* Must it come before anything else (W24)? */
bool starttls_required(const struct session *s);
/* Wait for the client's handshake. False without memory: the connection cannot be used. */
bool starttls_begin(struct session *s);
/* The handshake went well, or did not: `error` says why. */
void starttls_done(struct session *s);
void starttls_failed(struct session *s, const char *error);
/* STARTTLS (RFC 3207 4). */
void command_starttls(struct session *s, struct slice argument);
/* The parameter of MAIL (RFC 8689): NULL, or the refusal. */
const char *starttls_check_requiretls(struct session *s, struct slice value);

/* bad_input.c: the reply to a line that is none. */
void input_bad_line(struct session *s, enum line_status why);
/* The client begins with what is no SMTP: TLS, or a PROXY header that we take from others only.
 * True when he was told, and goes. */
bool input_foreign(struct session *s, struct slice in);

/* commands.c: one command line. */
void command_run(struct session *s, struct slice line);
/* A command more that brings no mail nearer: too many are errors (W48). */
void command_count_junk(struct session *s);

/* offer.c: the reply to HELO or EHLO, and what it promises in s->offered. It carries no enhanced
 * code (W52). A client that filters have refused is still greeted, with little to choose from, and
 * hears the refusal at MAIL, where he can report it. */
void offer_greet(struct session *s);

/* filters.c: questions to the chain, and the macros they need. */
/* Are there filters to be asked? */
bool session_filtered(const struct session *s);
/* False when a filter could not be made ready for want of memory. */
bool filters_open(struct session *s);
/* What they are told with the connection. */
void filters_introduce(struct session *s);
/* Before each HELO: what TLS is, once it is there (W28). */
void filters_tls(struct session *s);
/* What they are told with MAIL and with RCPT. */
void filters_transaction(struct session *s, struct slice domain);
void filters_recipient(struct session *s, struct slice domain);
/* What was found so far, for the events to come. */
void filters_findings(struct session *s);
/* Give the client a filter's refusal. False for CONTINUE and DISCARD: nothing was said. */
bool filters_refused(struct session *s, const struct chain_answer *a);

/* mail_commands.c: the envelope (RFC 5321 4.1.1.2, 4.1.1.3). */
void command_mail(struct session *s, struct slice argument);
void command_rcpt(struct session *s, struct slice argument);

/* command_xclient.c: XCLIENT, from whoever may say who the client is. */
void command_xclient(struct session *s, struct slice argument);

/* data.c: DATA (RFC 5321 4.1.1.4), and for chunks too what follows the last octet. */
void command_data(struct session *s, struct slice argument);
/* Take what lies there of the mail data. True when something was done. */
bool data_input(struct session *s);
/* When the time for the mail data is over (W56). */
int64_t data_deadline(const struct session *s);
/* Has the message left for the backend, so that the client's end changes nothing? */
bool data_committed(const struct session *s);
/* All of the content was taken in: what do the filters and the backend say? */
void data_end(struct session *s);
/* Are the filters behind? Then the client is not read until they have caught up. */
bool data_filters_behind(struct session *s);

/* bdat.c: BDAT (RFC 3030 2), as long as the state is SESSION_CHUNK or SESSION_BDAT. */
void command_bdat(struct session *s, struct slice argument);
/* Take what lies there of a chunk. True when something was done. */
bool bdat_input(struct session *s);
/* When the time for the chunk, or for the next command, is over (W56). */
int64_t bdat_deadline(const struct session *s);
/* The sequence is over, or broken off. */
void bdat_forget(struct session *s);

/* aborts.c: mail data that was sent and taken back costs us as much as a message. */
void aborts_count(struct session *s);
/* Has the client done so too often? Then 421 was said. */
bool aborts_refuse(struct session *s);

/* memory.c: the transaction's part of the memory of all workers. */
void memory_count(struct session *s);
/* True: there is none for what the client sends, and he is not read for a while. */
bool memory_waits(struct session *s);
/* Is there some for one who waits, or is his time over? */
void memory_look(struct session *s);
/* He waits no more. */
void memory_wake(struct session *s);

/* transaction.c: its end, and what the log says of it. */
struct verdict_line {
	const char *action;             /* "accept", "reject", ... */
	const struct smtp_reply *reply; /* what the client was told; NULL: nothing */
	const char *backend;            /* server; NULL or "": none was asked */
	struct slice backend_id;        /* under which it has the message; empty: not told */
};
/* The final reply of a message that came as far as its data, whoever gave it: afterwards nothing of
 * the transaction is left (W70). */
void transaction_finish(struct session *s, const struct verdict_line *v, bool aborted);
/* The log line of a refused MAIL, RCPT, DATA or first BDAT. */
void transaction_log_refusal(struct session *s, const char *stage, const char *recipient,
    const char *by, const struct smtp_reply *reply);
/* Forget the transaction whole (W70). aborted: the filters are in the middle of it. */
void transaction_reset(struct session *s, bool aborted);
/* The transaction is broken off by the client or by us. */
void transaction_abort(struct session *s);

#endif
