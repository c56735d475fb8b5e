/*
 * milter - the milter protocol on the wire, the MTA's side: write commands, read replies. Version
 * 6 as Sendmail 8.14 and later speak it, down to version 2. Pure: no sockets, no clock.
 * Packets    u32 length (of code and payload), code, payload; integers are big-endian.
 * Writing    the milter_put functions append whole packets to a struct bytes. What could break a
 *            filter's parser (NUL inside a text, a payload past 65535 octets) is mended or cut
 *            here. False when memory is gone; the bytes hold no half packet then.
 * Reading    milter_read takes packets off the front of what arrived, milter_reply_parse checks
 *            one whole.
 * Errors     -1 with *e; the connection is of no use afterwards (the protocol cannot be
 *            resynchronised).
 * Ownership  slices point into what was read.
 */
#ifndef WEIR_MILTER_H
#define WEIR_MILTER_H

#include "weir/err.h"
#include "weir/net.h"
#include "weir/slice.h"
#include "weir/smtp_reply.h"

#define MILTER_VERSION     6
#define MILTER_VERSION_MIN 2
#define MILTER_CHUNK_MAX   65535 /* octets of payload that any filter takes */
#define MILTER_HEADER_MAX                                                      \
	60000 /* octets of a header field that filters see (as Postfix has it) \
	       */

enum milter_command {
	MILTER_ABORT = 'A',
	MILTER_BODY = 'B',
	MILTER_CONNECT = 'C',
	MILTER_MACRO = 'D',
	MILTER_END = 'E',
	MILTER_HELO = 'H',
	MILTER_HEADER = 'L',
	MILTER_MAIL = 'M',
	MILTER_EOH = 'N',
	MILTER_OPTNEG = 'O',
	MILTER_QUIT = 'Q',
	MILTER_RCPT = 'R',
	MILTER_DATA = 'T',
	MILTER_UNKNOWN = 'U',
};

enum milter_reply_code {
	MILTER_ADDRCPT = '+',
	MILTER_DELRCPT = '-',
	MILTER_ADDRCPT_PAR = '2',
	MILTER_SHUTDOWN = '4',
	MILTER_ACCEPT = 'a',
	MILTER_REPLBODY = 'b',
	MILTER_CONTINUE = 'c',
	MILTER_DISCARD = 'd',
	MILTER_CHGFROM = 'e',
	MILTER_ADDHEADER = 'h',
	MILTER_INSHEADER = 'i',
	MILTER_CHGHEADER = 'm',
	MILTER_PROGRESS = 'p',
	MILTER_QUARANTINE = 'q',
	MILTER_REJECT = 'r',
	MILTER_SKIP = 's',
	MILTER_TEMPFAIL = 't',
	MILTER_REPLYCODE = 'y',
};

/* What a filter may do at the end of the message. */
enum milter_action {
	MILTER_MAY_ADD_HEADERS = 0x001, /* ADDHEADER and INSHEADER */
	MILTER_MAY_CHANGE_BODY = 0x002,
	MILTER_MAY_ADD_RCPT = 0x004,
	MILTER_MAY_DELETE_RCPT = 0x008,
	MILTER_MAY_CHANGE_HEADERS = 0x010,
	MILTER_MAY_QUARANTINE = 0x020,
	MILTER_MAY_CHANGE_FROM = 0x040,
	MILTER_MAY_ADD_RCPT_PAR = 0x080,
	MILTER_MAY_SET_MACROS = 0x100,
	MILTER_MAY_ALL = 0x1ff,
};

/* What a filter asks of the MTA: events not to send (NO_), events without a reply (NR_), habits. */
enum milter_protocol {
	MILTER_NO_CONNECT = 0x000001,
	MILTER_NO_HELO = 0x000002,
	MILTER_NO_MAIL = 0x000004,
	MILTER_NO_RCPT = 0x000008,
	MILTER_NO_BODY = 0x000010,
	MILTER_NO_HEADERS = 0x000020,
	MILTER_NO_EOH = 0x000040,
	MILTER_NR_HEADER = 0x000080,
	MILTER_NO_UNKNOWN = 0x000100,
	MILTER_NO_DATA = 0x000200,
	MILTER_CAN_SKIP = 0x000400,
	MILTER_REFUSED_RCPT = 0x000800, /* wants to see refused recipients too */
	MILTER_NR_CONNECT = 0x001000,
	MILTER_NR_HELO = 0x002000,
	MILTER_NR_MAIL = 0x004000,
	MILTER_NR_RCPT = 0x008000,
	MILTER_NR_DATA = 0x010000,
	MILTER_NR_UNKNOWN = 0x020000,
	MILTER_NR_EOH = 0x040000,
	MILTER_NR_BODY = 0x080000,
	MILTER_LEADING_SPACE = 0x100000, /* header values with all that follows the colon */
	MILTER_PROTOCOL_ALL = 0x1fffff,
	MILTER_BIG_PACKETS = 0x30000000, /* 256 KiB, 1 MiB: never offered, tolerated in answers */
};

struct milter_options {
	uint32_t version, actions, protocol;
};

/* The stages that a filter may name its own macros for, as numbered on the wire. */
enum milter_stage {
	MILTER_STAGE_CONNECT,
	MILTER_STAGE_HELO,
	MILTER_STAGE_MAIL,
	MILTER_STAGE_RCPT,
	MILTER_STAGE_DATA,
	MILTER_STAGE_END,
	MILTER_STAGE_EOH,
	MILTER_STAGES,
};
struct milter_symlist {
	struct slice names[MILTER_STAGES]; /* "i {mail_addr}"; p is NULL where none was given */
};

bool milter_put_options(struct bytes *out, const struct milter_options *o);
/* The answer to what was offered: within it, or an error. What an older version cannot know counts
 * as not wanted (NO_DATA, NO_UNKNOWN). */
int milter_options_parse(struct slice payload, const struct milter_options *offered,
    struct milter_options *agreed, struct milter_symlist *lists, struct err *e);

/* Commands without payload: ABORT, DATA, END, EOH, QUIT. */
bool milter_put(struct bytes *out, enum milter_command command);
/* Macros for the command that follows: open, add each, close. With no macro at all nothing is
 * written. */
struct milter_macros {
	size_t at; /* where the packet begins */
	size_t pairs;
};
struct milter_macros milter_macros_open(struct bytes *out, enum milter_command belongs_to);
void milter_macros_add(
    struct bytes *out, struct milter_macros *m, struct slice name, struct slice value);
bool milter_macros_close(struct bytes *out, const struct milter_macros *m);

/* host: verified name, "[address]" or "unknown". A client without an address is sent as unknown. */
bool milter_put_connect(struct bytes *out, struct slice host, const struct address *client);
/* HELO's argument, or the line of UNKNOWN. */
bool milter_put_text(struct bytes *out, enum milter_command command, struct slice text);
/* MAIL, RCPT. address without brackets (they are put around it); parameters separated by spaces. */
bool milter_put_path(
    struct bytes *out, enum milter_command command, struct slice address, struct slice parameters);
/* value: all that follows the colon, folds as CR LF and white space, without the last CR LF. Folds
 * go out as LF; without leading_space the first blank is dropped; what is longer than
 * MILTER_HEADER_MAX is cut at a fold. */
bool milter_put_header(
    struct bytes *out, struct slice name, struct slice value, bool leading_space);
/* chunk: 1..MILTER_CHUNK_MAX octets. */
bool milter_put_body(struct bytes *out, struct slice chunk);

struct milter_packet {
	char code;
	struct slice payload;
};
struct milter_reader {
	size_t need;        /* octets that must be there before the next call is of use */
	size_t packet_max;  /* most octets of any packet but REPLBODY */
	uint64_t body_max;  /* most octets of one REPLBODY packet */
	uint64_t body_left; /* of a REPLBODY that is being read */
};
void milter_reader_start(struct milter_reader *r, size_t packet_max, uint64_t body_max);
/* A packet off the front of in. 1: *p, *used octets of in belong to it; 0: r->need octets are
 * needed; -1: no packet of this protocol. A REPLBODY is handed out in pieces, as it comes: filters
 * send whole bodies in one (rspamd). */
int milter_read(
    struct milter_reader *r, struct slice in, size_t *used, struct milter_packet *p, struct err *e);

struct milter_reply {
	enum milter_reply_code code;
	uint32_t index;       /* INSHEADER, CHGHEADER */
	struct slice name;    /* header edits */
	struct slice value;   /* header edits; QUARANTINE: the reason; REPLBODY: the octets */
	struct slice address; /* envelope edits, without brackets */
	struct slice parameters;
	struct smtp_reply smtp; /* REPLYCODE; code 0 with all others */
};
/* Payload, lengths and texts are checked; a code that is no reply is an error. */
int milter_reply_parse(const struct milter_packet *p, struct milter_reply *r, struct err *e);
/* The action that must have been agreed for this edit; 0 for what is no edit. */
uint32_t milter_reply_action(enum milter_reply_code code);
/* "CONTINUE"; "?" for what is none. For logs. */
const char *milter_reply_name(enum milter_reply_code code);
const char *milter_command_name(enum milter_command command);

#endif
