#include "config.h"

#include <stdlib.h>

#include "proxy/smtp/chunk.h"
#include "proxy/smtp/line.h"
#include "weir/smtp_data.h"

#define LINE_MAX    64
#define MESSAGE_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void must(bool good)
{
	if (!good)
		abort();
}

/* A session that knows nothing but BDAT, made of the parts that the real one is made of. */
struct reader {
	struct line_reader line;
	struct chunk_reader chunk;
	struct smtp_data_decoder decoder;
	bool in_chunk, over;
	struct bytes seen; /* what was made of the octets: commands, contents, ends */
	uint64_t taken;    /* octets of the message */
};

static void begin_message(struct reader *r)
{
	r->chunk = (struct chunk_reader){ 0 };
	r->taken = 0;
	smtp_chunk_decode_start(&r->decoder);
}

static void end_chunk(struct reader *r)
{
	r->in_chunk = false;
	must(r->taken == r->chunk.announced && r->decoder.wire_bytes == r->taken);
	if (!r->chunk.last)
		return;
	must(smtp_chunk_decode_end(&r->decoder, &r->seen) == 0);
	(void)bytes_add(&r->seen, SLICE("<end>"));
	begin_message(r);
}

static size_t read_chunk(struct reader *r, struct slice in)
{
	struct slice octets = chunk_octets(&r->chunk, in), content;
	struct bytes out = { 0 };

	if (r->chunk.left == 0) {
		end_chunk(r);
		return 0;
	}
	must(octets.n <= r->chunk.left && octets.n <= in.n);
	must(smtp_chunk_decode(&r->decoder, octets, &out, &content) == 0);
	(void)bytes_add(&r->seen, content);
	bytes_free(&out);
	chunk_take(&r->chunk, octets.n);
	r->taken += octets.n;
	return octets.n;
}

static void run(struct reader *r, struct slice line)
{
	struct slice verb = slice_cut(&line, ' ');

	if (!slice_ieq(verb, SLICE("BDAT"))) {
		(void)bytes_add(&r->seen, SLICE("<command>"));
		return;
	}
	r->over = chunk_begin(&r->chunk, line, MESSAGE_MAX) != CHUNK_GOOD;
	r->in_chunk = !r->over;
	must(r->chunk.announced <= MESSAGE_MAX + MESSAGE_MAX / 2);
	(void)bytes_add(&r->seen, r->over ? SLICE("<over>") : SLICE("<bdat>"));
}

static size_t read_line(struct reader *r, struct slice in, bool *more)
{
	struct slice line = { 0 };
	size_t used;
	enum line_status s = line_read(&r->line, in, LINE_MAX, &line, &used);

	*more = s == LINE_MORE && used == 0;
	if (s == LINE_GOOD)
		run(r, line);
	else if (s != LINE_MORE)
		(void)bytes_add(&r->seen, SLICE("<bad>"));
	r->over |= s == LINE_FLOOD;
	return used;
}

/* Pieces of `step` octets; afterwards seen says what came out. */
static void read_all(struct reader *r, struct slice all, size_t step)
{
	size_t from = 0, to = 0;

	begin_message(r);
	while (!r->over) {
		struct slice in = slice_sub(all, from, to - from);
		bool more = false;

		if (r->in_chunk && (in.n > 0 || r->chunk.left == 0))
			from += read_chunk(r, in);
		else if (!r->in_chunk)
			from += read_line(r, in, &more);
		else
			more = true;
		if (!more)
			continue;
		if (to == all.n)
			return;
		to = all.n - to < step ? all.n : to + step;
	}
}

/* However the octets are cut, the same commands and the same contents come out. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const size_t steps[] = { SIZE_MAX / 2, 1, 5, 17 };
	struct slice all = slice_of(p, n > LINE_DISCARD_MAX ? LINE_DISCARD_MAX : n);
	struct reader r[COUNT(steps)] = { 0 };

	for (size_t i = 0; i < COUNT(steps); i++) {
		read_all(&r[i], all, steps[i]);
		must(!r[i].seen.failed);
		must(slice_eq(bytes_slice(&r[i].seen), bytes_slice(&r[0].seen)));
	}
	for (size_t i = 0; i < COUNT(steps); i++)
		bytes_free(&r[i].seen);
	return 0;
}
