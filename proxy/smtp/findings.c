#include "config.h"

#include "findings.h"

#include "session.h"
#include "weir/log.h"

static const char *const words[FOUND_COUNT] = {
	[FOUND_EARLY_TALK] = "early_talk",
	[FOUND_PIPELINING] = "pipelining",
	[FOUND_BARE_NEWLINE] = "bare_newline",
	[FOUND_NUL] = "nul",
	[FOUND_NO_UTF8] = "no_utf8",
	[FOUND_LONG_COMMAND] = "long_command",
	[FOUND_FOREIGN] = "foreign_protocol",
	[FOUND_HEADER_FIELD] = "header_field",
	[FOUND_NO_COMMAND] = "no_command",
	[FOUND_HELO_SYNTAX] = "helo_syntax",
	[FOUND_HELO_ADDRESS] = "helo_address",
	[FOUND_HELO_SELF] = "helo_self",
	[FOUND_HELO_LITERAL] = "helo_literal",
	[FOUND_HELO_UNQUALIFIED] = "helo_unqualified",
	[FOUND_HELO_CHANGED] = "helo_changed",
};

void found(struct session *s, enum found what)
{
	unsigned bit = 1u << what;

	if ((s->findings & bit) != 0)
		return;
	s->findings |= bit;
	/* Odd names are everyday, with health checks among them. */
	log_event(what >= FOUND_HELO_SYNTAX ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "finding", "id",
	    s->id, "client", s->client_text, "what", words[what], NULL);
}

bool found_violation(struct session *s, enum found what)
{
	found(s, what);
	return s->listener->settings->protocol_violations == VIOLATIONS_CLOSE;
}

/* "[192.0.2.7]" or "[IPv6:2001:db8::7]"; false for any other literal. */
static bool literal_address(struct slice name, struct address *a)
{
	struct slice inner = slice_sub(name, 1, name.n - 2);

	if (slice_istarts(inner, SLICE("IPv6:")))
		inner = slice_sub(inner, 5, inner.n);
	return address_parse(inner, a, NULL) == 0;
}

void found_helo(struct session *s, struct slice name)
{
	struct address a;

	if (s->helo != NULL && !slice_ieq(name, slice_z(s->helo)))
		found(s, FOUND_HELO_CHANGED);
	if (slice_ieq(name, slice_z(s->settings->hostname)))
		found(s, FOUND_HELO_SELF);
	if (slice_starts(name, SLICE("["))) {
		if (literal_address(name, &a) && !address_eq(&a, &s->client))
			found(s, FOUND_HELO_LITERAL);
	} else if (address_parse(name, &a, NULL) == 0) {
		found(s, FOUND_HELO_ADDRESS);
	} else if (slice_find(name, '.') == name.n) {
		found(s, FOUND_HELO_UNQUALIFIED);
	}
}

void findings_text(unsigned findings, struct buf *into)
{
	for (size_t i = 0; i < FOUND_COUNT; i++) {
		if ((findings & 1u << i) == 0)
			continue;
		if (into->n > 0)
			buf_addc(into, ',');
		buf_add(into, slice_z(words[i]));
	}
}
