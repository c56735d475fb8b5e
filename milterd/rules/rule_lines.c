#include "config.h"

#include "milterd/rules/loader.h"

/* Where rules stand: one pass over each file, because json_locate() begins at its start for each
 * pointer. */

struct lines {
	const char *p, *end;
	unsigned line, depth;
};

/* The string at p, without quotes; p moves behind it. */
static struct slice lines_string(struct lines *at)
{
	const char *from = ++at->p;

	while (at->p < at->end && *at->p != '"')
		at->p += *at->p == '\\' && at->p + 1 < at->end ? 2 : 1;
	return slice_of(from, (size_t)((at->p < at->end ? at->p++ : at->p) - from));
}

static bool lines_key(struct lines *at)
{
	const char *p = at->p;

	while (p < at->end && ascii_space(*p))
		p++;
	return p < at->end && *p == ':';
}

static void note_line(
    struct loader *l, const struct json_file *j, unsigned file, struct slice name, unsigned line)
{
	const json_t *number = json_object_getn(l->rule_numbers, name.p, name.n);
	const json_t *its = json_object_getn(json_object_get(j->root, "rules"), name.p, name.n);
	struct rule *r;

	if (number == NULL)
		return;
	r = &l->rs->rules[json_integer_value(number)];
	/* The condition is the rule; a local file that only changes the score does not move it. */
	if (r->line > 0 && json_object_get(its, "when") == NULL)
		return;
	r->line = line;
	r->file_index = file;
}

static void note_lines(struct loader *l, unsigned file)
{
	const struct json_file *j = &l->files[file];
	struct lines at = { .p = j->text, .end = j->text + j->n, .line = 1 };
	bool in_rules = false;

	while (at.p < at.end) {
		char c = *at.p;

		if (c == '"') {
			struct slice s = lines_string(&at);
			bool key = at.depth <= 2 && lines_key(&at);

			if (key && at.depth == 1)
				in_rules = slice_eq(s, SLICE("rules"));
			else if (key && at.depth == 2 && in_rules)
				note_line(l, j, file, s, at.line);
			continue;
		}
		at.line += c == '\n';
		at.depth += c == '{' || c == '[';
		at.depth -= c == '}' || c == ']';
		at.p++;
	}
}

int place_rules(struct loader *l)
{
	struct ruleset *rs = l->rs;

	for (unsigned i = 0; i < l->file_count; i++)
		note_lines(l, i);
	for (size_t i = 0; i < rs->rule_count; i++) {
		rs->rules[i].file = loader_text(l, slice_z(l->files[rs->rules[i].file_index].path));
		if (rs->rules[i].file == NULL)
			return -1;
	}
	return 0;
}
