#include "config.h"

#include <stdio.h>

#include "provide.h"

enum { FOUND, NAME, ERROR };

/* clang-format off */
static const struct fact_row rows[] = {
	[FOUND] = { "virus.found", FACT_BOOL, STAGE_EOM,
	    "Whether the virus scanner found something; unknown where the message was not scanned to its end.", "true" },
	[NAME] = { "virus.name", FACT_STRING, STAGE_EOM,
	    "The name of the signature that matched.", "\"Eicar-Test-Signature\"" },
	[ERROR] = { "virus.error", FACT_STRING, STAGE_EOM,
	    "Why the scan was not completed: timeout, crashed, busy, limit: MaxFileSize, ...; unknown where it was, "
	    "and where there is no scanner.", "\"timeout\"" },
};
/* clang-format on */

static void give_up(struct scan_result *r, const char *why)
{
	(void)snprintf(r->error, sizeof(r->error), "%s", why);
}

static void scan(struct exam *x, struct scan_result *r)
{
	const struct message *m = exam_message(x);
	struct bytes raw = { .max = m->header.n + 2 + m->body.n };

	if (message_write(m, &raw))
		scanner_scan(exam_services(x)->scanner, bytes_slice(&raw), r);
	else
		give_up(r, "out of memory");
	bytes_free(&raw);
	/* What was not kept was not seen: an error before it is clean. */
	if (!r->found && r->error[0] == '\0' && !message_whole(m))
		give_up(r, "limit: the message was not kept whole");
}

/* One scan for the three facts. */
static const struct scan_result *scanned(struct exam *x)
{
	void **memo = exam_memo(x, &virus_provider);

	if (*memo == NULL && exam_services(x)->scanner != NULL) {
		*memo = arena_take(exam_arena(x), sizeof(struct scan_result));
		if (*memo != NULL)
			scan(x, *memo);
	}
	return *memo;
}

static struct value get(struct exam *x, size_t row, struct slice name)
{
	const struct scan_result *r = scanned(x);

	(void)name;
	if (r == NULL)
		return value_unknown;
	switch (row) {
	case FOUND:
		return r->error[0] == '\0' ? value_bool(r->found) : value_unknown;
	case NAME:
		return value_or_unknown(slice_z(r->name));
	default:
		return value_or_unknown(slice_z(r->error));
	}
}

const struct provider virus_provider = {
	.name = "virus", .rows = rows, .n = COUNT(rows), .costly = true, .get = get
};
