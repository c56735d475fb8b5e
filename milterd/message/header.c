#include "config.h"

#include "milterd/message/anomaly.h"
#include "milterd/message/inside.h"

struct slice field_name_of(struct slice line)
{
	size_t n = 0, colon;

	/* ftext = %d33-57 / %d59-126 (RFC 5322 3.6.8) */
	while (n < line.n && line.p[n] > 32 && line.p[n] < 127 && line.p[n] != ':')
		n++;
	colon = n;
	while (colon < line.n && is_blank(line.p[colon]))
		colon++;
	return slice_sub(line, 0, colon < line.n && line.p[colon] == ':' ? n : 0);
}

struct slice lower_copy(struct message *m, struct slice s)
{
	char *p = arena_take(&m->arena, s.n + 1);

	if (p == NULL)
		return SLICE("");
	for (size_t i = 0; i < s.n; i++)
		p[i] = ascii_lower(s.p[i]);
	return slice_of(p, s.n);
}

struct slice header_unfold(struct message *m, struct slice raw)
{
	struct slice rest = slice_trim(raw);
	char *p;
	size_t n = 0;

	if (slice_find(rest, '\n') == rest.n)
		return rest;
	if ((p = arena_take(&m->arena, rest.n + 1)) == NULL)
		return SLICE("");
	while (rest.n > 0) {
		struct slice line = slice_cut(&rest, '\n');

		if (rest.n > 0 && line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		memcpy(p + n, line.p, line.n);
		n += line.n;
	}
	return slice_of(p, n);
}

struct slice header_value(struct message *m, struct header_field *f)
{
	if (f->value.p == NULL)
		f->value = words_decode(m, header_unfold(m, f->raw));
	return f->value;
}

struct header_field *message_find(struct message *m, struct slice name, size_t n)
{
	for (size_t i = 0; i < m->field_count; i++)
		if (slice_ieq(m->fields[i].name, name) && n-- == 0)
			return &m->fields[i];
	return NULL;
}
