#include "config.h"

#include <stdlib.h>

#include "milterd/exam.h"

struct engine *engine_new(
    const struct milterd_settings *s, const struct services *services, struct findings *f)
{
	struct engine *g = malloc(sizeof(*g));

	if (g == NULL) {
		findings_add(f, FINDING_ERROR, "out of memory");
		return NULL;
	}
	*g = (struct engine){
		.services = services,
		.message_bytes = (size_t)s->message_bytes,
		.body_text_bytes = (size_t)s->body_text_bytes,
		.references = 1,
	};
	if ((g->rules = ruleset_load(s->rules, f)) == NULL) {
		free(g);
		return NULL;
	}
	return g;
}

struct engine *engine_ref(struct engine *g)
{
	g->references++;
	return g;
}

void engine_unref(struct engine **g)
{
	struct engine *was = *g;

	*g = NULL;
	if (was == NULL || --was->references > 0)
		return;
	ruleset_free(&was->rules);
	free(was);
}

unsigned exam_without_bit(struct slice name)
{
	static const struct {
		const char *name;
		unsigned bit;
	} bits[] = {
		{ "virus", EXAM_WITHOUT_VIRUS },
		{ "bayes", EXAM_WITHOUT_BAYES },
		{ "dns", EXAM_WITHOUT_DNS },
	};

	for (size_t i = 0; i < COUNT(bits); i++)
		if (slice_eq(name, slice_z(bits[i].name)))
			return bits[i].bit;
	return 0;
}
