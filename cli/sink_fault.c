#include "config.h"

#include "sink.h"

static const char *const phases[SINK_PHASES] = {
	[SINK_CONNECT] = "connect",
	[SINK_EHLO] = "ehlo",
	[SINK_MAIL] = "mail",
	[SINK_RCPT] = "rcpt",
	[SINK_DATA] = "data",
	[SINK_BODY] = "body",
	[SINK_DOT] = "dot",
	[SINK_QUIT] = "quit",
};

#define AT(phase) (1u << (phase))
#define ANYWHERE  (AT(SINK_PHASES) - 1)

/* Actions with a name, and the phases that know them; "4yz" and "5yz" stand for themselves. */
static const struct {
	const char *name;
	enum sink_action action;
	unsigned phases;
} actions[] = {
	{ "close", SINK_CLOSE, ANYWHERE },
	{ "stall", SINK_STALL, ANYWHERE },
	{ "garbage", SINK_GARBAGE, ANYWHERE & ~AT(SINK_BODY) },
	{ "store-then-close", SINK_STORE_THEN_CLOSE, AT(SINK_DOT) },
	{ "store-then-stall", SINK_STORE_THEN_STALL, AT(SINK_DOT) },
};

static int phase_parse(struct slice name, struct sink_fault *out, struct err *e)
{
	for (size_t i = 0; i < COUNT(phases); i++) {
		if (slice_eq(name, slice_z(phases[i]))) {
			out->phase = (enum sink_phase)i;
			return 0;
		}
	}
	return err_set(e,
	    "phase \"%.*s\" is none of connect, ehlo, mail, rcpt, data, body, dot, quit",
	    SLICE_ARG(name));
}

/* "450", or "early-450" in the body. */
static bool code_parse(struct slice name, struct sink_fault *out)
{
	struct slice early = SLICE("early-");
	uint64_t code;

	out->action = SINK_REPLY;
	if (out->phase == SINK_BODY) {
		if (!slice_starts(name, early))
			return false;
		name = slice_sub(name, early.n, name.n);
		out->action = SINK_EARLY;
	}
	if (name.n != 3 || slice_number(name, 559, &code) < 0 || code < 400)
		return false;
	out->code = (int)code;
	return true;
}

static int action_parse(struct slice name, struct sink_fault *out, struct err *e)
{
	if (code_parse(name, out))
		return 0;
	for (size_t i = 0; i < COUNT(actions); i++) {
		if (slice_eq(name, slice_z(actions[i].name)) &&
		    (actions[i].phases & AT(out->phase)) != 0) {
			out->action = actions[i].action;
			return 0;
		}
	}
	return err_set(e, "phase %s knows no action \"%.*s\"", phases[out->phase], SLICE_ARG(name));
}

int sink_fault_parse(struct slice text, struct sink_fault *out, struct err *e)
{
	struct sink_fault fault = { .left = UINT64_MAX };
	struct slice phase = slice_cut(&text, '='), action = slice_cut(&text, ':');

	if (phase_parse(phase, &fault, e) < 0 || action_parse(action, &fault, e) < 0)
		return -1;
	if (text.n > 0 && slice_number(text, UINT32_MAX, &fault.left) < 0)
		return err_set(e, "\"%.*s\" is no number of times", SLICE_ARG(text));
	*out = fault;
	return 0;
}

const struct sink_fault *sink_fault_take(struct sink *sink, enum sink_phase phase)
{
	for (size_t i = 0; i < sink->fault_count; i++) {
		struct sink_fault *fault = &sink->faults[i];

		if (fault->phase == phase && fault->left > 0) {
			fault->left -= fault->left != UINT64_MAX;
			return fault;
		}
	}
	return NULL;
}
