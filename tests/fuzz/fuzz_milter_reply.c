/* What a filter sends: packets cut anywhere, the negotiation's answer, every reply. */
#include "config.h"

#include <stdlib.h>

#include "weir/milter.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static unsigned sum;

/* Every octet of s is read, so that a slice past its packet is found. */
static void touch(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		sum += (unsigned char)s.p[i];
}

static void reply(const struct milter_packet *packet)
{
	static const struct milter_options offer = { 6, 0x1ff, 0x1fffff };
	struct milter_options agreed;
	struct milter_symlist lists;
	struct milter_reply r;
	struct err e;

	if (packet->code == MILTER_OPTNEG &&
	    milter_options_parse(packet->payload, &offer, &agreed, &lists, &e) == 0)
		for (size_t i = 0; i < MILTER_STAGES; i++)
			touch(lists.names[i]);
	if (milter_reply_parse(packet, &r, &e) < 0)
		return;
	touch(r.name);
	touch(r.value);
	touch(r.address);
	touch(r.parameters);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct milter_reader reader;
	struct milter_packet packet;
	struct err e;
	size_t step = n > 0 ? p[0] % 16 + 1u : 1, at = 1, used;

	milter_reader_start(&reader, 4096, 65536);
	for (size_t end = 1; end < n; end += step) {
		/* A copy of its own size, for the sanitizer's sake. */
		size_t there = end - at;
		char *copy = malloc(there > 0 ? there : 1);
		size_t done = 0;
		int rc = 1;

		if (copy == NULL)
			return 0;
		memcpy(copy, p + at, there);
		while (rc == 1) {
			rc = milter_read(
			    &reader, slice_of(copy + done, there - done), &used, &packet, &e);
			done += used;
			if (rc == 1)
				reply(&packet);
		}
		free(copy);
		at += done;
		if (rc < 0)
			return 0;
	}
	return 0;
}
