#include "config.h"

#include "milterd/message/message.h"

#include <stdlib.h>

#include "milterd/message/anomaly.h"
#include "milterd/message/inside.h"

enum { HEADER_FIRST = 8192, FIELDS_FIRST = 32 };

void message_start(struct message *m, size_t max_bytes)
{
	/* The empty line is part of every message that is written. */
	*m = (struct message){ .max = max_bytes, .size = 2 };
}

void message_free(struct message *m)
{
	size_t max = m->max;

	converters_free(m);
	bytes_free(&m->header);
	bytes_free(&m->body);
	bytes_free(&m->text_store);
	bytes_free(&m->html_store);
	free(m->fields);
	arena_free(&m->arena);
	message_start(m, max);
}

/* ---- header fields ----------------------------------------------------------------------- */

static void slice_move(struct slice *s, const struct bytes *from, const char *to)
{
	if (s->p >= from->p && s->p <= from->p + from->n)
		s->p = to + (s->p - from->p);
}

/* Room for n more octets. Fields point into the header: when its storage moves they move along. */
static bool header_room(struct message *m, size_t n)
{
	struct bytes grown = { 0 };
	size_t want = m->header.n + n;

	if (m->header.p != NULL && want < m->header.cap)
		return true;
	if (!bytes_reserve(&grown, want < HEADER_FIRST ? HEADER_FIRST : want + want / 2) ||
	    !bytes_add(&grown, bytes_slice(&m->header))) {
		bytes_free(&grown);
		return false;
	}
	for (size_t i = 0; i < m->field_count; i++) {
		slice_move(&m->fields[i].name, &m->header, grown.p);
		slice_move(&m->fields[i].raw, &m->header, grown.p);
		if (m->fields[i].value.p != NULL)
			slice_move(&m->fields[i].value, &m->header, grown.p);
	}
	bytes_free(&m->header);
	m->header = grown;
	return true;
}

static bool fields_room(struct message *m)
{
	size_t cap = m->field_cap == 0 ? FIELDS_FIRST : m->field_cap * 2;
	struct header_field *grown;

	if (m->field_count < m->field_cap)
		return true;
	if ((grown = realloc(m->fields, cap * sizeof(*grown))) == NULL)
		return false;
	m->fields = grown;
	m->field_cap = cap;
	return true;
}

/* Append what the limit lets in, count all. */
static void header_put(struct message *m, struct slice s, size_t limit)
{
	m->size += s.n;
	if (s.n > limit - m->header.n) {
		anomaly_fail(m, ANOMALY_HEADER_TOO_LARGE);
		s.n = limit - m->header.n;
	}
	(void)bytes_add(&m->header, s); /* there is room: see message_field */
}

/* Fold lines end with CR LF here, and begin with a blank whoever wrote them: a value cannot smuggle
 * a field in. */
static void header_put_value(struct message *m, struct slice value, size_t limit)
{
	bool more;

	do {
		struct slice line;

		more = slice_find(value, '\n') < value.n;
		line = slice_cut(&value, '\n');
		if (more && line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		header_put(m, line, limit);
		if (!more)
			break;
		header_put(m, SLICE("\r\n"), limit);
		if (value.n == 0 || !is_blank(value.p[0]))
			header_put(m, SLICE(" "), limit);
	} while (more);
}

/* RFC 5322 3.6.8 lets any printable octet but the colon into a name. What would end the name or the
 * line is left away. */
static struct slice field_name(struct slice name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == ':' || name.p[i] == '\r' || name.p[i] == '\n')
			name.n = i;
	while (name.n > 0 && is_blank(name.p[name.n - 1]))
		name.n--;
	return name;
}

static size_t count(struct slice s, char c)
{
	size_t n = 0;

	for (size_t at; (at = slice_find(s, c)) < s.n; s = slice_sub(s, at + 1, s.n))
		n++;
	return n;
}

/* The milter protocol ends texts with NUL, so an MTA writes another octet in its place: weir-proxy
 * a question mark. Here the same, that a file may not look worse than what is sent of it. */
static void header_without_nul(struct message *m, size_t start)
{
	char *at = m->header.p + start;
	const char *end = m->header.p + m->header.n;

	while (at < end && (at = memchr(at, '\0', (size_t)(end - at))) != NULL)
		*at++ = '?';
}

/* A field that was cut in the middle of a line end would read differently. */
static void header_mend(struct message *m, size_t value)
{
	while (m->header.n > value &&
	    (m->header.p[m->header.n - 1] == '\r' || m->header.p[m->header.n - 1] == '\n'))
		m->header.n--;
}

bool message_field(struct message *m, struct slice name, struct slice value, bool leading_space)
{
	size_t start = m->header.n,
	       most = MESSAGE_HEADER_MAX < m->max ? MESSAGE_HEADER_MAX : m->max;
	size_t limit, need;
	bool kept;

	name = field_name(name);
	while (value.n > 0 && value.p[value.n - 1] == '\n')
		value.n -= value.n > 1 && value.p[value.n - 2] == '\r' ? 2 : 1;
	need = name.n + 2 + value.n + 2 * count(value, '\n') + 2;
	kept = start <= most && name.n + 3 <= most - start;
	limit = kept ? most - 2 : start;
	if (!header_room(m,
		!kept                     ? 0
		    : need < most - start ? need
					  : most - start) ||
	    !fields_room(m)) {
		anomaly_fail(m, ANOMALY_MEMORY);
		return false;
	}
	header_put(m, name, limit);
	header_put(m, leading_space ? SLICE(":") : SLICE(": "), limit);
	header_put_value(m, value, limit);
	m->size += 2;
	if (!kept)
		return true;
	header_without_nul(m, start);
	if (m->header.n == limit)
		header_mend(m, start + name.n + 1);
	if (m->field_count < MESSAGE_FIELDS_MAX)
		m->fields[m->field_count++] = (struct header_field){
			.name = slice_of(m->header.p + start, name.n),
			.raw = slice_of(
			    m->header.p + start + name.n + 1, m->header.n - start - name.n - 1),
		};
	else
		anomaly_fail(m, ANOMALY_HEADER_TOO_MANY);
	return bytes_add(&m->header, SLICE("\r\n"));
}

/* ---- body -------------------------------------------------------------------------------- */

static bool body_put(struct message *m, struct slice s)
{
	size_t room = m->max - (m->header.n < m->max ? m->header.n : m->max);

	m->size += s.n;
	room -= m->body.n < room ? m->body.n : room;
	if (s.n > room) {
		anomaly_fail(m, ANOMALY_TOO_LARGE);
		s.n = room;
	}
	if (s.n == 0)
		return true;
	if (s.n < m->body.cap - m->body.n) { /* line by line from a file: spare the call */
		memcpy(m->body.p + m->body.n, s.p, s.n);
		m->body.n += s.n;
		m->body.p[m->body.n] = '\0';
		return true;
	}
	if (bytes_add(&m->body, s))
		return true;
	anomaly_fail(m, ANOMALY_MEMORY);
	return false;
}

/* A LF without its CR gets one: then the same mail is the same octets from a file and on the wire.
 */
bool message_body(struct message *m, struct slice octets)
{
	const char *from = octets.p, *at = from, *end;
	bool good = true;

	if (octets.n == 0)
		return true;
	end = octets.p + octets.n;
	while (good && at < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));

		if (lf == NULL)
			break;
		at = lf + 1;
		if (lf > octets.p ? lf[-1] == '\r' : m->ends_cr)
			continue;
		good = body_put(m, slice_of(from, (size_t)(lf - from))) &&
		    body_put(m, SLICE("\r\n"));
		from = at;
	}
	m->ends_cr = end[-1] == '\r';
	return good && body_put(m, slice_of(from, (size_t)(end - from)));
}

/* ---- files ------------------------------------------------------------------------------- */

/* Take one line with its line end off *s. */
static struct slice line_take(struct slice *s)
{
	size_t at = slice_find(*s, '\n');
	struct slice line = slice_sub(*s, 0, at < s->n ? at + 1 : at);

	*s = slice_sub(*s, line.n, s->n);
	return line;
}

static struct slice line_without_end(struct slice line)
{
	if (line.n > 0 && line.p[line.n - 1] == '\n')
		line.n--;
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

bool message_raw(struct message *m, struct slice file)
{
	if (slice_starts(file, SLICE("From ")) || slice_starts(file, SLICE(">From ")))
		(void)line_take(&file);
	while (file.n > 0) {
		struct slice rest = file, line = line_take(&rest), name, value;

		if (line_without_end(line).n == 0) {
			file = rest;
			break;
		}
		/* The body begins here: an MTA hands it to a filter so, and does not say why. */
		if ((name = field_name_of(line)).n == 0)
			break;
		while (rest.n > 0 && is_blank(rest.p[0]))
			(void)line_take(&rest);
		value = slice_of(file.p, (size_t)(rest.p - file.p));
		(void)slice_cut(&value, ':');
		if (!message_field(m, name, line_without_end(value), true))
			return false;
		file = rest;
	}
	if (file.n > 0 &&
	    !bytes_reserve(&m->body, (file.n < m->max ? file.n : m->max) + file.n / 32)) {
		anomaly_fail(m, ANOMALY_MEMORY);
		return false;
	}
	return message_body(m, file);
}

bool message_whole(const struct message *m)
{
	return m->size <= m->header.n + 2 + m->body.n;
}

bool message_write(const struct message *m, struct bytes *out)
{
	return bytes_reserve(out, m->header.n + 2 + m->body.n) &&
	    bytes_add(out, bytes_slice(&m->header)) && bytes_add(out, SLICE("\r\n")) &&
	    bytes_add(out, bytes_slice(&m->body));
}
