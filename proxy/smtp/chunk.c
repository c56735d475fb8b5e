#include "config.h"

#include "chunk.h"

/* chunk-size [SP end-marker] */
static bool parse(struct slice argument, uint64_t *size, bool *last)
{
	struct slice digits = slice_cut(&argument, ' ');

	argument = slice_trim(argument);
	*last = slice_ieq(argument, SLICE("LAST"));
	return (*last || argument.n == 0) && slice_number(digits, UINT64_MAX / 4, size) == 0;
}

/* Of octets that are thrown away no more is read than half a message beyond the limit. */
enum chunk_status chunk_begin(struct chunk_reader *c, struct slice argument, uint64_t message_max)
{
	uint64_t most = message_max + message_max / 2, size;
	bool last;

	if (!parse(argument, &size, &last))
		return CHUNK_MALFORMED;
	if (size > most || c->announced > most - size)
		return CHUNK_TOO_MUCH;
	c->size = c->left = size;
	c->announced += size;
	c->last = last;
	return CHUNK_GOOD;
}

struct slice chunk_octets(const struct chunk_reader *c, struct slice in)
{
	if (in.n > c->left)
		in.n = (size_t)c->left;
	return in;
}

void chunk_take(struct chunk_reader *c, size_t n)
{
	c->left -= n;
}
