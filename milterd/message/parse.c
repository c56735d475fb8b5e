/*
 * parse - one look at a whole message: structure, then text, HTML, URLs and attachments.
 */
#include "config.h"

#include <stdio.h>

#include <openssl/evp.h>

#include "milterd/message/anomaly.h"
#include "milterd/message/inside.h"

enum { META_LOOK = 1024 };

/* ---- header fields ----------------------------------------------------------------------- */

static bool has_bare_cr(struct slice raw)
{
	for (size_t at; (at = slice_find(raw, '\r')) < raw.n; raw = slice_sub(raw, at + 1, raw.n))
		if (at + 1 >= raw.n || raw.p[at + 1] != '\n')
			return true;
	return false;
}

/* A continuation line of blanks only looks like the end of the header section to some. */
static bool has_blank_fold(struct slice raw)
{
	while (slice_find(raw, '\n') < raw.n) {
		struct slice line;

		(void)slice_cut(&raw, '\n');
		line = slice_sub(raw, 0, slice_find(raw, '\n'));
		if (slice_trim(line).n == 0)
			return true;
	}
	return false;
}

static void field_check(struct message *m, const struct header_field *f)
{
	if (f->name.n == 0 || field_name_of(slice_of(f->name.p, f->name.n + 1)).n != f->name.n)
		anomaly_add(m, ANOMALY_HEADER_BAD_NAME);
	if (has_bare_cr(f->raw))
		anomaly_add(m, ANOMALY_HEADER_BARE_CR);
	if (has_blank_fold(f->raw))
		anomaly_add(m, ANOMALY_HEADER_BLANK_FOLD);
	if (!utf8_valid(f->raw))
		anomaly_add(m, ANOMALY_HEADER_NOT_UTF8);
}

static void header_parse(struct message *m)
{
	if (m->field_count == 0)
		anomaly_add(m, ANOMALY_HEADER_NONE);
	for (size_t i = 0; i < m->field_count; i++) {
		field_check(m, &m->fields[i]);
		(void)header_value(m, &m->fields[i]);
	}
}

/* ---- text -------------------------------------------------------------------------------- */

static bool is_html(const struct part *p)
{
	return slice_eq(p->type, SLICE("text/html"));
}

/* Text that mail programs show in the message: also with a name, but not as an attachment. */
static bool is_shown(const struct part *p)
{
	return p->leaf && (is_html(p) || slice_eq(p->type, SLICE("text/plain"))) &&
	    !slice_eq(p->disposition, SLICE("attachment"));
}

/* <meta charset=X> or <meta http-equiv content="text/html; charset=X">, where the part's fields say
 * nothing. */
static struct slice meta_charset(struct slice html)
{
	struct slice head = slice_sub(html, 0, META_LOOK);
	size_t n = 0;

	head = slice_sub(head, slice_ifind_slice(head, SLICE("<meta")), head.n);
	head = slice_sub(head, slice_ifind_slice(head, SLICE("charset")) + 7, head.n);
	head = slice_trim(head);
	if (head.n == 0 || head.p[0] != '=')
		return SLICE("");
	head = slice_trim(slice_sub(head, 1, head.n));
	if (head.n > 0 && (head.p[0] == '"' || head.p[0] == '\''))
		head = slice_sub(head, 1, head.n);
	while (n < head.n && !ascii_space(head.p[n]) && strchr("\"';/>", head.p[n]) == NULL)
		n++;
	return slice_sub(head, 0, n);
}

static const struct charset *charset_of(struct message *m, const struct part *p)
{
	struct slice label = p->charset;
	const struct charset *charset;

	if (label.n == 0 && is_html(p))
		label = meta_charset(p->body);
	if ((charset = charset_find(label)) == NULL)
		anomaly_add(m, ANOMALY_CHARSET_UNKNOWN);
	return charset;
}

/* Plain text: line ends become LF, NUL octets go. */
static void plain_add(struct message *m, struct slice text)
{
	struct bytes *out = &m->text_store;
	const char *p = text.p, *end = text.p + text.n;
	char *to;

	if (text.n == 0 || !bytes_reserve(out, text.n))
		return;
	to = out->p + out->n;
	while (p < end) {
		const char *cr = memchr(p, '\r', (size_t)(end - p));
		size_t run = (size_t)((cr != NULL ? cr : end) - p);

		memcpy(to, p, run);
		to += run;
		p += run;
		if (cr != NULL && ++p < end && *p != '\n')
			*to++ = '\n';
	}
	out->n = (size_t)(to - out->p);
	*to = '\0';
}

static void nul_remove(struct message *m, size_t from)
{
	struct bytes *b = &m->text_store;
	size_t to;

	if (b->p == NULL || memchr(b->p + from, '\0', b->n - from) == NULL)
		return;
	anomaly_add(m, ANOMALY_BODY_NUL);
	to = from;
	for (size_t i = from; i < b->n; i++)
		if (b->p[i] != '\0')
			b->p[to++] = b->p[i];
	b->n = to;
	b->p[to] = '\0';
}

/* One part's source behind those before it; no copy where it is the first. */
static void html_add(struct message *m, struct slice source, size_t max)
{
	struct bytes *store = &m->html_store;
	size_t left = max - m->html.n;

	if (m->html.n == 0) {
		m->html = source;
		return;
	}
	if (left < 2) {
		anomaly_add(m, ANOMALY_TEXT_CUT);
		return;
	}
	if (source.n > left - 1) {
		anomaly_add(m, ANOMALY_TEXT_CUT);
		source = utf8_cut(source, left - 1);
	}
	if (store->n == 0)
		(void)bytes_add(store, m->html);
	(void)bytes_addc(store, '\n');
	(void)bytes_add(store, source);
	if (!store->failed)
		m->html = bytes_slice(store);
}

static void text_add(struct message *m, const struct part *p, size_t max)
{
	struct bytes *out = &m->text_store;
	size_t from = out->n;
	bool cut = false;
	struct slice source = charset_text(m, charset_of(m, p), p->body, max, &cut);

	if (from > 0 && out->p[from - 1] != '\n')
		(void)bytes_addc(out, '\n');
	if (is_html(p)) {
		html_add(m, source, max);
		html_render(m, source, out);
	} else {
		plain_add(m, source);
		nul_remove(m, from);
	}
	if (out->n > max) {
		out->n = utf8_cut(bytes_slice(out), max).n;
		cut = true;
	}
	if (cut)
		anomaly_add(m, ANOMALY_TEXT_CUT);
}

/* A page that is attached opens in a browser with one click: its source and its links are the
 * message's, its text is not. */
static bool is_attached_page(const struct part *p)
{
	static const char *const endings[] = { ".htm", ".html", ".shtml", ".xhtml" };

	if (!p->leaf || is_shown(p))
		return false;
	for (size_t i = 0; i < COUNT(endings); i++)
		if (slice_iends(p->name, slice_z(endings[i])))
			return true;
	return is_html(p) || slice_eq(p->type, SLICE("application/xhtml+xml"));
}

static void page_add(struct message *m, const struct part *p, size_t max)
{
	struct bytes *out = &m->text_store;
	size_t from = out->n;
	bool cut = false;
	struct slice source = charset_text(m, charset_of(m, p), p->body, max, &cut);

	html_add(m, source, max);
	html_render(m, source, out);
	out->n = from;
	if (out->p != NULL)
		out->p[from] = '\0';
	if (cut)
		anomaly_add(m, ANOMALY_TEXT_CUT);
}

static void texts_parse(struct message *m, size_t max)
{
	for (struct part *p = m->root; p != NULL; p = part_next(p)) {
		if (is_shown(p) && p->body.n > 0)
			text_add(m, p, max);
		else if (is_attached_page(p) && p->body.n > 0)
			page_add(m, p, max);
	}
	if (m->text_store.failed || m->html_store.failed)
		anomaly_fail(m, ANOMALY_MEMORY);
	m->text = m->text_store.n > 0 ? bytes_slice(&m->text_store) : SLICE("");
	if (m->html.p == NULL)
		m->html = SLICE("");
	urls_find(m, m->text);
}

/* ---- attachments ------------------------------------------------------------------------- */

static bool is_attachment(const struct part *p)
{
	return p->leaf && (p->name.n > 0 || !is_shown(p));
}

static bool sha256_hex(struct slice s, char hex[65])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (EVP_Digest(s.p, s.n, digest, &n, EVP_sha256(), NULL) != 1 || n != 32)
		return false;
	for (size_t i = 0; i < 32; i++) {
		hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
		hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
	}
	hex[64] = '\0';
	return true;
}

static void attachments_parse(struct message *m)
{
	size_t n = 0;

	for (struct part *p = m->root; p != NULL; p = part_next(p)) {
		p->attachment = is_attachment(p);
		n += p->attachment;
	}
	if (n == 0 || (m->attachments = arena_take(&m->arena, n * sizeof(struct part *))) == NULL)
		return;
	for (struct part *p = m->root; p != NULL; p = part_next(p)) {
		if (!p->attachment)
			continue;
		m->attachments[m->attachment_count++] = p;
		if (!sha256_hex(p->body, p->sha256))
			anomaly_fail(m, ANOMALY_MEMORY);
	}
}

void message_parse(struct message *m, size_t text_max)
{
	if (m->parsed)
		return;
	m->parsed = true;
	header_parse(m);
	mime_parse(m);
	texts_parse(m, text_max);
	attachments_parse(m);
	anomalies_list(m);
}
