/*
 * sink_session - one client of the sink. sink_session.c moves octets, sink_commands.c knows SMTP.
 * Ownership  a session frees itself when its connection ends; sink_sessions_end frees the rest.
 */
#ifndef CLI_SINK_SESSION_H
#define CLI_SINK_SESSION_H

#include <event2/bufferevent.h>

#include "sink.h"
#include "weir/smtp_data.h"
#include "weir/smtp_reply.h"

enum sink_state {
	SINK_ST_REFUSED, /* the banner was a refusal (W50) */
	SINK_ST_START,
	SINK_ST_READY,
	SINK_ST_IN_MAIL,
	SINK_ST_IN_RCPT,
	SINK_ST_IN_DATA,
	SINK_ST_IN_BDAT, /* between two chunks */
	SINK_ST_IN_CHUNK,
	SINK_ST_COUNT
};

struct sink_session {
	struct sink *sink;
	struct sink_session *next, **at; /* *at points to this one */
	struct bufferevent *bev;
	struct event *timer;
	struct bytes out; /* replies of this turn, sent in one write */
	enum sink_state state;
	bool waiting; /* a reply is held back by --slow */
	bool stalled; /* by a fault: what arrives is thrown away */
	bool closing; /* after what is in out */
	bool dead;    /* to be freed at the end of this turn */
	bool eof;     /* the client will send no more, but may still read */

	struct bytes head; /* Return-Path and Delivered-To lines of the transaction */
	size_t recipients;
	bool smtputf8;
	struct smtp_data_decoder decoder;
	struct {
		uint64_t size, left; /* octets of the chunk, and those still to come */
		bool last;
		bool failed;                    /* the sequence: the rest of it is thrown away */
		const struct sink_fault *fault; /* that answers the chunk, or NULL */
		const char *refusal;            /* text of 503, or NULL */
	} chunk;
	struct bytes content; /* decoded, not written yet */
	uint64_t stored_bytes;
	bool too_big;
	struct err store_error; /* "" while all is well */
	struct maildir_message message;
};

/* sink_session.c */
void sink_reply(struct sink_session *s, int code, const char *enhanced, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Let a fault of this phase happen. True: it took the place of the command's own answer. */
bool sink_fault(struct sink_session *s, enum sink_phase phase);
void sink_misbehave(struct sink_session *s, const struct sink_fault *fault);

/* sink_commands.c: a line without its CR LF; some octets of mail data, of which *used were. */
void sink_command(struct sink_session *s, struct slice line);
void sink_mail_data(struct sink_session *s, struct slice in, size_t *used);
/* Write what was decoded where that has become much. */
void sink_content_flush(struct sink_session *s);
/* All of the message is there: store it and say so, and forget the transaction. */
void sink_content_end(struct sink_session *s);
void sink_greet(struct sink_session *s);
/* Forget the transaction; an unfinished message is removed. */
void sink_reset(struct sink_session *s);

/* sink_chunks.c: BDAT, and octets of a chunk. */
void sink_bdat(struct sink_session *s, struct slice arg);
void sink_chunk_data(struct sink_session *s, struct slice in, size_t *used);
/* The chunk is read: answer it. */
void sink_chunk_end(struct sink_session *s);

#endif
