#include "config.h"

#include <stdlib.h>

#include "weir/smtp_data.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void must(bool good)
{
	if (!good)
		abort();
}

/* Decode in pieces; the first octets of the input say how long they are. */
static int decode(struct slice wire, struct slice pieces, struct bytes *content, size_t *used,
    struct smtp_data_decoder *d)
{
	size_t at = 0, some;
	int rc = 0;

	smtp_data_decode_start(d);
	for (size_t i = 0; rc == 0 && at < wire.n; i++, at += some) {
		size_t n = pieces.n > 0 ? (unsigned char)pieces.p[i % pieces.n] % 16u + 1 : wire.n;

		rc = smtp_data_decode(d, slice_sub(wire, at, n), &some, content);
		must(rc >= 0);
	}
	*used = at;
	return rc;
}

/* RFC 5321 4.1.1.4: CR LF . CR LF, where the CR LF of the DATA command counts as the first. */
static size_t end_of_data(struct slice wire)
{
	size_t at;

	if (slice_starts(wire, SLICE(".\r\n")))
		return 3;
	at = slice_find_slice(wire, SLICE("\r\n.\r\n"));
	return at < wire.n ? at + 5 : 0;
}

/* What content is for any receiver: the plain definition, one octet at a time. */
static void normalise(struct slice content, struct bytes *out)
{
	for (size_t i = 0; i < content.n; i++) {
		char c = content.p[i];

		if (c == '\r' && i + 1 < content.n && content.p[i + 1] == '\n')
			continue;
		if (c == '\n')
			(void)bytes_add(out, SLICE("\r\n"));
		else
			(void)bytes_addc(out, c == '\r' ? ' ' : c);
	}
	if (out->n > 0 && out->p[out->n - 1] != '\n')
		(void)bytes_add(out, SLICE("\r\n"));
}

static void encode(struct slice content, struct slice pieces, struct bytes *wire)
{
	struct smtp_data_encoder e = { 0 };
	size_t n;

	for (size_t i = 0, at = 0; at < content.n; i++, at += n) {
		n = pieces.n > 0 ? (unsigned char)pieces.p[i % pieces.n] % 16u + 1 : content.n;
		smtp_data_encode(&e, slice_sub(content, at, n), wire);
	}
	smtp_data_encode_end(&e, wire);
	must(!wire->failed);
}

/* The same octets as BDAT brings them, in chunks of those sizes. */
static void decode_chunks(
    struct slice wire, struct slice pieces, struct bytes *content, struct smtp_data_decoder *d)
{
	struct bytes out = { 0 };
	struct slice some;
	size_t n;

	smtp_chunk_decode_start(d);
	for (size_t i = 0, at = 0; at < wire.n; i++, at += n) {
		n = pieces.n > 0 ? (unsigned char)pieces.p[i % pieces.n] % 16u + 1 : wire.n;
		bytes_clear(&out);
		must(smtp_chunk_decode(d, slice_sub(wire, at, n), &out, &some) == 0);
		(void)bytes_add(content, some);
	}
	must(smtp_chunk_decode_end(d, content) == 0);
	must(d->wire_bytes == wire.n && !content->failed);
	bytes_free(&out);
}

static void check_chunks(struct slice wire, struct slice pieces)
{
	struct bytes whole = { 0 }, parts = { 0 }, normal = { 0 };
	struct smtp_data_decoder d, d2;

	decode_chunks(wire, (struct slice){ 0 }, &whole, &d);
	decode_chunks(wire, pieces, &parts, &d2);
	must(slice_eq(bytes_slice(&whole), bytes_slice(&parts)));
	must(d.bare_cr == d2.bare_cr && d.bare_lf == d2.bare_lf && d.nul == d2.nul);
	normalise(wire, &normal);
	/* But for its last line end, which chunks need not have. */
	must(slice_starts(bytes_slice(&normal), bytes_slice(&whole)) && normal.n - whole.n <= 2);
	bytes_free(&whole);
	bytes_free(&parts);
	bytes_free(&normal);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice pieces = slice_of(p, n < 4 ? 0 : 4),
		     wire = slice_sub(slice_of(p, n), pieces.n, n);
	struct bytes whole = { 0 }, parts = { 0 }, encoded = { 0 }, normal = { 0 }, back = { 0 };
	struct smtp_data_decoder d, d2;
	size_t used, used2;
	int rc = decode(wire, (struct slice){ 0 }, &whole, &used, &d);

	/* Any split gives the same; the end is where the octets say. */
	must(decode(wire, pieces, &parts, &used2, &d2) == rc && used2 == used);
	must(slice_eq(bytes_slice(&whole), bytes_slice(&parts)));
	must(d.bare_cr == d2.bare_cr && d.bare_lf == d2.bare_lf && d.nul == d2.nul &&
	    d.dots == d2.dots && d.wire_bytes == d2.wire_bytes);
	must(rc == (end_of_data(wire) > 0) && (rc == 0 || used == end_of_data(wire)));
	if (rc == 1) {
		/* Content that was decoded is normal: it goes through unchanged. */
		normalise(bytes_slice(&whole), &normal);
		must(slice_eq(bytes_slice(&whole), bytes_slice(&normal)));
		bytes_clear(&normal);
	}

	/* Encoded, any octets are one message whose content is the normalised octets. */
	encode(wire, pieces, &encoded);
	must(decode(bytes_slice(&encoded), pieces, &back, &used, &d) == 1 && used == encoded.n);
	must(!d.bare_cr && !d.bare_lf);
	normalise(wire, &normal);
	must(slice_eq(bytes_slice(&back), bytes_slice(&normal)));

	check_chunks(wire, pieces);
	bytes_free(&whole);
	bytes_free(&parts);
	bytes_free(&encoded);
	bytes_free(&normal);
	bytes_free(&back);
	return 0;
}
