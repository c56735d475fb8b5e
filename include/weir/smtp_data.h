/*
 * smtp_data - mail data between the wire and the message: transparency (RFC 5321 4.5.2) and line
 * ends (2.3.8), and the chunks of BDAT (RFC 3030).
 * Decoding   resumes at any octet. Only CR LF . CR LF ends the data, however the octets are cut
 *            (W01-W04). What comes out has CR LF line ends only, ends with CR LF, and has its dots
 *            unstuffed.
 * Encoding   whatever goes in, what comes out is one message for any receiver: every line that
 *            begins with a dot is stuffed, no CR or LF stands alone (W07, W66).
 * Line ends  both ways a bare LF becomes CR LF and a bare CR becomes a space, as Postfix has it: a
 *            bare CR that were made a line end would let one header field become two.
 */
#ifndef WEIR_SMTP_DATA_H
#define WEIR_SMTP_DATA_H

#include "weir/slice.h"

struct smtp_data_decoder {
	unsigned state;
	bool chunks;                /* of BDAT: no dot means anything */
	bool open;                  /* of chunks: the last line has no end so far */
	bool bare_cr, bare_lf, nul; /* seen so far */
	uint64_t bare;              /* how many CRs and LFs stood alone */
	bool dots;                  /* a line of the content may begin with a dot */
	uint64_t wire_bytes;        /* octets consumed, dots and end included */
};

void smtp_data_decode_start(struct smtp_data_decoder *d);
/* Take octets off the front of in, append content to out (at most twice as many). 1: the end was
 * read, *used octets of in belong to the data and what follows are commands; 0: all of in was used
 * and more is needed; -1: out failed, and nothing was taken or added. A lone dot line that a bare
 * LF began or ended is removed (W04); whether the message is refused for bare_cr, bare_lf or nul is
 * the caller's choice. */
int smtp_data_decode(struct smtp_data_decoder *d, struct slice in, size_t *used, struct bytes *out);
/* The same without a copy: *content is what came out, a part of in where nothing had to change, or
 * else what was appended to out. */
int smtp_data_take(struct smtp_data_decoder *d, struct slice in, size_t *used, struct bytes *out,
    struct slice *content);

/* As smtp_data_take, for BDAT, where the size of a chunk ends it: only line ends are looked at,
 * across the borders of chunks as well (W06, W67). 0, or -1: out failed, and nothing was taken or
 * added. */
void smtp_chunk_decode_start(struct smtp_data_decoder *d);
int smtp_chunk_decode(
    struct smtp_data_decoder *d, struct slice in, struct bytes *out, struct slice *content);
/* No more follows: append what a last CR stands for. 0, or -1 without memory. */
int smtp_chunk_decode_end(struct smtp_data_decoder *d, struct bytes *out);

/* Zeroed, it stands at the start of a message. */
struct smtp_data_encoder {
	bool in_line; /* the last octet out was not the end of a line */
	bool cr;      /* a CR is waiting for its LF */
};

/* Append in, encoded. Memory that ran out shows in out->failed, which the caller looks at. */
void smtp_data_encode(struct smtp_data_encoder *d, struct slice in, struct bytes *out);
/* End the last line where it is open, then "." CR LF; the encoder is ready for another message. */
void smtp_data_encode_end(struct smtp_data_encoder *d, struct bytes *out);

#endif
