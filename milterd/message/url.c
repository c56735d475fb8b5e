/*
 * url - the URLs of a message: found in text, or given by HTML attributes, taken apart as browsers
 * take them apart (WHATWG URL), kept once each.
 */
#include "config.h"

#include "milterd/message/anomaly.h"
#include "milterd/message/inside.h"

enum { SLOTS_FIRST = 64, HOST_MAX = 255 };

struct url_set {
	size_t slots; /* a power of two, at least twice the URLs there are */
	uint32_t *hash;
	uint16_t *index; /* into urls, plus 1; 0 is free */
};

static uint32_t hash_of(struct slice s)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < s.n; i++)
		hash = (hash ^ (unsigned char)s.p[i]) * 16777619u;
	return hash ^ hash >> 15;
}

/* The slot where url stands or would stand. */
static size_t slot_of(const struct message *m, struct slice url, uint32_t hash)
{
	const struct url_set *set = m->url_set;
	size_t slot = hash & (set->slots - 1);

	while (set->index[slot] != 0 &&
	    (set->hash[slot] != hash || !slice_eq(m->urls[set->index[slot] - 1].url, url)))
		slot = (slot + 1) & (set->slots - 1);
	return slot;
}

/* Room for one more. What is outgrown stays in the arena: less than what replaces it. */
static bool set_grow(struct message *m)
{
	struct url_set *set = m->url_set, grown = { .slots = SLOTS_FIRST };
	struct url *urls;

	if (set != NULL && m->url_count < set->slots / 2)
		return true;
	if (set == NULL && (set = m->url_set = arena_take(&m->arena, sizeof(*set))) == NULL)
		return false;
	if (set->slots > 0)
		grown.slots = set->slots * 2;
	urls = arena_take(&m->arena, grown.slots / 2 * sizeof(*urls));
	grown.hash = arena_take(&m->arena, grown.slots * sizeof(*grown.hash));
	grown.index = arena_take(&m->arena, grown.slots * sizeof(*grown.index));
	if (urls == NULL || grown.hash == NULL || grown.index == NULL)
		return false;
	if (m->url_count > 0)
		memcpy(urls, m->urls, m->url_count * sizeof(*urls));
	for (size_t i = 0; i < set->slots; i++) {
		size_t slot = set->hash[i] & (grown.slots - 1);

		if (set->index[i] == 0)
			continue;
		while (grown.index[slot] != 0)
			slot = (slot + 1) & (grown.slots - 1);
		grown.index[slot] = set->index[i];
		grown.hash[slot] = set->hash[i];
	}
	m->urls = urls;
	*set = grown;
	return true;
}

/* ---- taking apart ------------------------------------------------------------------------ */

/* What stands behind "http:" and the like, with its slashes; .p NULL when the scheme is not one of
 * ours. Browsers take any number of slashes and backslashes. */
static struct slice after_scheme(struct slice url)
{
	static const char *const schemes[] = { "http:", "https:", "ftp:", "" };

	for (size_t i = 0; i < COUNT(schemes); i++)
		if (slice_istarts(url, slice_z(schemes[i])))
			return slice_sub(url, strlen(schemes[i]), url.n);
	return (struct slice){ 0 };
}

static bool is_slash(char c)
{
	return c == '/' || c == '\\';
}

/* authority = [ userinfo "@" ] host [ ":" port ] (RFC 3986 3.2); the last '@' counts. */
static struct slice host_of(struct slice authority)
{
	size_t n = 0, at;

	while (n < authority.n && !is_slash(authority.p[n]) && authority.p[n] != '?' &&
	    authority.p[n] != '#')
		n++;
	authority.n = n;
	while ((at = slice_find(authority, '@')) < authority.n)
		authority = slice_sub(authority, at + 1, authority.n);
	if (authority.n > 0 && authority.p[0] == '[' &&
	    (at = slice_find(authority, ']')) < authority.n)
		return slice_sub(authority, 0, at + 1);
	return slice_sub(authority, 0, slice_find(authority, ':'));
}

/* One octet of a host at *i, percent-decoded; browsers take three more dots for a dot (UTS 46). */
static char host_octet(struct slice host, size_t *i, bool decode)
{
	static const char *const dots[] = { "\xe3\x80\x82", "\xef\xbc\x8e", "\xef\xbd\xa1" };
	const char *p = host.p + *i;
	size_t left = host.n - *i;
	int high, low;

	for (size_t k = 0; p[0] & 0x80 && k < COUNT(dots); k++)
		if (left >= 3 && memcmp(p, dots[k], 3) == 0) {
			*i += 3;
			return '.';
		}
	if (decode && left >= 3 && p[0] == '%' && (high = hex_value(p[1])) >= 0 &&
	    (low = hex_value(p[2])) >= 0) {
		*i += 3;
		return ascii_lower((char)(high << 4 | low));
	}
	*i += 1;
	return ascii_lower(p[0]);
}

/* The octets put to text, which has room for HOST_MAX; 0 where it is longer than a name can be. */
static size_t host_put(struct slice host, char *text, bool decode)
{
	size_t n = 0;

	for (size_t i = 0; i < host.n;) {
		if (n == HOST_MAX)
			return 0;
		text[n++] = host_octet(host, &i, decode);
	}
	while (n > 0 && text[n - 1] == '.')
		n--;
	return n;
}

/* Lower case, without a final dot, decoded where that makes text. */
static struct slice host_clean(struct message *m, struct slice host)
{
	char text[HOST_MAX];
	size_t n = host_put(host, text, true);
	struct slice copy;

	if (!utf8_valid(slice_of(text, n)))
		n = host_put(host, text, false);
	if (n == host.n && memcmp(text, host.p, n) == 0)
		return host;
	copy = arena_copy(&m->arena, slice_of(text, n));
	return copy.p != NULL ? copy : SLICE("");
}

static bool is_ipv4(struct slice host)
{
	for (size_t i = 0; i < host.n; i++)
		if (!ascii_digit(host.p[i]) && host.p[i] != '.')
			return false;
	return true;
}

static struct slice domain_of(struct slice host)
{
	size_t i = host.n, dots = 0;

	if (host.n == 0 || host.p[0] == '[' || is_ipv4(host))
		return host;
	while (i > 0 && dots < 2)
		dots += host.p[--i] == '.';
	return slice_sub(host, dots == 2 ? i + 1 : 0, host.n);
}

static void url_keep(struct message *m, struct slice url, struct slice host, bool html)
{
	uint32_t hash = hash_of(url);
	size_t slot;

	if (!set_grow(m))
		return;
	slot = slot_of(m, url, hash);
	if (m->url_set->index[slot] != 0)
		return;
	if (m->url_count == MESSAGE_URLS_MAX) {
		anomaly_add(m, ANOMALY_URLS_TOO_MANY);
		return;
	}
	host = host_clean(m, host);
	m->urls[m->url_count++] = (struct url){
		.url = url, .host = host, .domain = domain_of(host), .html = html
	};
	m->url_set->hash[slot] = hash;
	m->url_set->index[slot] = (uint16_t)m->url_count;
}

void url_add(struct message *m, struct slice url, bool html)
{
	struct slice rest = after_scheme(url), host;
	size_t slashes = 0;

	while (slashes < rest.n && is_slash(rest.p[slashes]))
		slashes++;
	/* Without a scheme it takes two to name a host. */
	if (rest.p == NULL || (rest.p == url.p && slashes < 2))
		return;
	host = host_of(slice_sub(rest, slashes, rest.n));
	if (host.n > 0)
		url_keep(m, url, host, html);
}

/* ---- finding ----------------------------------------------------------------------------- */

/* What an octet is to a URL in text: part of it, its end, or left off where it stands last. */
enum { INSIDE, ENDS, TRAILS };
static unsigned kind_of(char c)
{
	static const unsigned char kinds[128] = {
		['<'] = ENDS,
		['>'] = ENDS,
		['"'] = ENDS,
		['`'] = ENDS,
		['{'] = ENDS,
		['}'] = ENDS,
		['|'] = ENDS,
		['^'] = ENDS,
		[127] = ENDS,
		['.'] = TRAILS,
		[','] = TRAILS,
		[';'] = TRAILS,
		[':'] = TRAILS,
		['!'] = TRAILS,
		['?'] = TRAILS,
		['\''] = TRAILS,
		['*'] = TRAILS,
		['_'] = TRAILS,
		['~'] = TRAILS,
		[')'] = TRAILS,
		[']'] = TRAILS,
	};

	if ((unsigned char)c <= ' ')
		return ENDS;
	return (unsigned char)c < 128 ? kinds[(unsigned char)c] : INSIDE;
}

/* Closing brackets belong to a URL that opens them: "(see http://x/a_(b))". */
static struct slice trim_trailing(struct slice url)
{
	bool round = slice_find(url, '(') < url.n, square = slice_find(url, '[') < url.n;

	while (url.n > 0) {
		char c = url.p[url.n - 1];

		if (kind_of(c) != TRAILS || (c == ')' && round) || (c == ']' && square))
			break;
		url.n--;
	}
	return url;
}

/* Where a host ends that letters of another script follow without a blank, "http://x.example[...]":
 * no top-level domain mixes a beginning in ASCII with them. */
static size_t ascii_label_end(struct slice s, size_t host)
{
	size_t label = host, mixed = s.n;

	for (size_t i = host; i < s.n && !is_slash(s.p[i]) && s.p[i] != '?' && s.p[i] != '#'; i++) {
		if (s.p[i] == '.') {
			label = i + 1;
			mixed = s.n;
		} else if (mixed == s.n && (s.p[i] & 0x80) && !(s.p[label] & 0x80)) {
			mixed = i;
		}
	}
	return mixed;
}

/* The URL that begins at `start` and whose host begins at `host`: the same where it has no scheme.
 * The end of both. */
static size_t url_take(struct message *m, struct slice text, size_t start, size_t host)
{
	struct slice url;
	size_t end = host, path;

	while (end < text.n && kind_of(text.p[end]) != ENDS)
		end++;
	url = slice_sub(text, start, end - start);
	url.n = ascii_label_end(url, host - start);
	for (path = host - start; path < url.n && !is_slash(url.p[path]) && url.p[path] != '?';
	     path++)
		;
	while (path < url.n && !(url.p[path] & 0x80))
		path++;
	url = trim_trailing(slice_sub(url, 0, path));
	if (url.n <= host - start)
		return end;
	if (host > start)
		url_add(m, url, false);
	else
		url_keep(m, url, host_of(url), false);
	return end;
}

/* A scheme of ours that ends before the ':' at `colon`, followed by "//": its first octet, or n. */
static size_t scheme_start(struct slice text, size_t colon)
{
	static const char *const schemes[] = { "https", "http", "ftp" };

	if (text.n - colon < 4 || text.p[colon + 1] != '/' || text.p[colon + 2] != '/')
		return text.n;
	for (size_t i = 0; i < COUNT(schemes); i++) {
		size_t n = strlen(schemes[i]);

		if (colon >= n && slice_ieq(slice_sub(text, colon - n, n), slice_z(schemes[i])))
			return colon - n;
	}
	return text.n;
}

/* "www" before the '.' at `dot`, set apart from what stands before it, with something behind. */
static size_t www_start(struct slice text, size_t dot)
{
	size_t start = dot - 3;

	if (dot < 3 || dot + 1 >= text.n || !slice_ieq(slice_sub(text, start, 3), SLICE("www")))
		return text.n;
	if (kind_of(text.p[dot + 1]) != INSIDE)
		return text.n;
	if (start > 0 && kind_of(text.p[start - 1]) != ENDS &&
	    strchr("([,;:", text.p[start - 1]) == NULL)
		return text.n;
	return start;
}

void urls_find(struct message *m, struct slice text)
{
	size_t at = 0, colon = 0, dot = 0;

	while (at < text.n && m->url_count < MESSAGE_URLS_MAX) {
		size_t start;

		if (colon < at || at == 0)
			colon = at + slice_find(slice_sub(text, at, text.n), ':');
		if (dot < at || at == 0)
			dot = at + slice_find(slice_sub(text, at, text.n), '.');
		if (colon >= text.n && dot >= text.n)
			break;
		at = (colon < dot ? colon : dot) + 1;
		start = colon < dot ? scheme_start(text, colon) : www_start(text, dot);
		if (start < text.n)
			at = url_take(m, text, start, colon < dot ? colon + 3 : start);
	}
	if (at < text.n && m->url_count == MESSAGE_URLS_MAX)
		anomaly_add(m, ANOMALY_URLS_TOO_MANY);
}
