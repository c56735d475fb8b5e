#include "config.h"

#include "mail.h"

#include <stdlib.h>

static void recipient_free(struct mail_recipient *r)
{
	free(r->address);
}

void mail_drop_fields(struct mail *m)
{
	for (size_t i = 0; i < m->field_count; i++)
		free(m->fields[i].line);
	free(m->fields);
	m->fields = NULL;
	m->field_count = m->field_cap = 0;
	m->own_received = false;
}

void mail_free(struct mail *m)
{
	for (size_t i = 0; i < m->recipient_count; i++)
		recipient_free(&m->recipients[i]);
	mail_drop_fields(m);
	free(m->recipients);
	free(m->reverse_path);
	spool_free(&m->body);
	*m = (struct mail){ 0 };
}

/* Both texts in one piece: *second is freed with the first. NULL without memory. */
static char *copy_pair(struct slice first, struct slice second_text, char **second)
{
	char *copy = malloc(first.n + second_text.n + 2);
	struct buf b = { .p = copy, .cap = first.n + second_text.n + 2 };

	if (copy == NULL)
		return NULL;
	buf_add(&b, first);
	*second = copy + ++b.n;
	buf_add(&b, second_text);
	return copy;
}

bool mail_set_reverse_path(struct mail *m, struct slice address, struct slice parameters)
{
	char *more, *copy = copy_pair(address, parameters, &more);

	if (copy == NULL)
		return false;
	free(m->reverse_path);
	m->reverse_path = copy;
	m->parameters = more;
	return true;
}

/* Room for one more element of size `size`; *v and *cap change together or not at all. */
static bool grow(void **v, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap == 0 ? 8 : *cap * 2;
	void *grown;

	if (n < *cap)
		return true;
	if ((grown = reallocarray(*v, want, size)) == NULL)
		return false;
	*v = grown;
	*cap = want;
	return true;
}

bool mail_add_recipient(struct mail *m, struct slice address, struct slice parameters)
{
	void *v = m->recipients;
	struct mail_recipient r;

	if (!grow(&v, m->recipient_count, &m->recipient_cap, sizeof(r)))
		return false;
	m->recipients = v;
	if ((r.address = copy_pair(address, parameters, &r.parameters)) == NULL)
		return false;
	m->recipients[m->recipient_count++] = r;
	return true;
}

void mail_drop_recipient(struct mail *m)
{
	if (m->recipient_count > 0)
		recipient_free(&m->recipients[--m->recipient_count]);
}

/* The local part is compared as it is, the domain without case (RFC 5321 2.4). */
static bool same_address(struct slice a, struct slice b)
{
	size_t at = a.n;

	while (at > 0 && a.p[at - 1] != '@')
		at--;
	return a.n == b.n && (at == 0 || memcmp(a.p, b.p, at) == 0) &&
	    (at == 0 ? slice_eq(a, b) : slice_ieq(slice_sub(a, at, a.n), slice_sub(b, at, b.n)));
}

size_t mail_remove_recipient(struct mail *m, struct slice address)
{
	size_t kept = 0, gone;

	for (size_t i = 0; i < m->recipient_count; i++) {
		if (same_address(slice_z(m->recipients[i].address), address))
			recipient_free(&m->recipients[i]);
		else
			m->recipients[kept++] = m->recipients[i];
	}
	gone = m->recipient_count - kept;
	m->recipient_count = kept;
	return gone;
}

/* An owned copy of line with the places of its parts. */
static bool field_make(struct slice line, struct mail_field *f)
{
	size_t colon = slice_find(line, ':');
	size_t name_n = colon;

	while (name_n > 0 && (line.p[name_n - 1] == ' ' || line.p[name_n - 1] == '\t'))
		name_n--;
	*f = (struct mail_field){ .line = slice_dup(line),
		.n = line.n,
		.name_n = name_n,
		.value = colon < line.n ? colon + 1 : line.n };
	return f->line != NULL;
}

bool mail_insert_field(struct mail *m, size_t at, struct slice line)
{
	void *v = m->fields;
	struct mail_field f;

	if (!grow(&v, m->field_count, &m->field_cap, sizeof(f)))
		return false;
	m->fields = v;
	if (!field_make(line, &f))
		return false;
	if (at > m->field_count)
		at = m->field_count;
	memmove(m->fields + at + 1, m->fields + at, (m->field_count - at) * sizeof(f));
	m->fields[at] = f;
	m->field_count++;
	return true;
}

void mail_remove_field(struct mail *m, size_t at)
{
	if (at >= m->field_count)
		return;
	free(m->fields[at].line);
	m->field_count--;
	memmove(m->fields + at, m->fields + at + 1, (m->field_count - at) * sizeof(*m->fields));
}

bool mail_change_field(struct mail *m, size_t at, struct slice line)
{
	struct mail_field f;

	if (at >= m->field_count || !field_make(line, &f))
		return false;
	free(m->fields[at].line);
	m->fields[at] = f;
	return true;
}

uint64_t mail_size(const struct mail *m)
{
	uint64_t n = m->separator ? 2 : 0;

	for (size_t i = 0; i < m->field_count; i++)
		n += m->fields[i].n;
	return n + (m->body != NULL ? spool_size(m->body) : 0);
}
