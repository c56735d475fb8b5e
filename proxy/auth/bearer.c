#include "config.h"

#include "bearer.h"

bool saslname_read(struct slice text, struct buf *into)
{
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c == '\0' || c == ',')
			return false;
		if (c == '=') {
			struct slice code = slice_sub(text, i, 3);

			if (!slice_ieq(code, SLICE("=2C")) && !slice_ieq(code, SLICE("=3D")))
				return false;
			c = ascii_lower(code.p[2]) == 'c' ? ',' : '=';
			i += 2;
		}
		buf_addc(into, c);
	}
	return text.n > 0 && !into->cut;
}

/* b64token of RFC 6750 2.1. */
static bool is_token(struct slice s)
{
	static const char marks[] = "-._~+/";
	size_t n = 0;

	while (n < s.n &&
	    (ascii_alpha(s.p[n]) || ascii_digit(s.p[n]) ||
		(s.p[n] != '\0' && strchr(marks, s.p[n]) != NULL)))
		n++;
	if (n == 0)
		return false;
	while (n < s.n && s.p[n] == '=')
		n++;
	return n == s.n;
}

/* The pairs, each ended by ^A, and one more ^A. The token is the only one that matters to us. */
static int parse_pairs(struct slice text, struct slice *token, struct err *e)
{
	struct slice found = { 0 };

	for (;;) {
		size_t end = slice_find(text, '\x01');
		struct slice pair = slice_sub(text, 0, end);

		if (end == text.n)
			return err_set(e, "a pair is not ended");
		text = slice_sub(text, end + 1, text.n);
		if (pair.n == 0)
			break;
		if (!slice_istarts(pair, SLICE("auth=")))
			continue;
		if (found.p != NULL)
			return err_set(e, "two auth pairs");
		found = slice_sub(pair, 5, pair.n);
	}
	if (text.n > 0)
		return err_set(e, "text behind the end");
	if (!slice_istarts(found, SLICE("Bearer ")))
		return err_set(e, "no bearer token");
	found = slice_sub(found, 7, found.n);
	if (!is_token(found))
		return err_set(e, "the token is no b64token");
	*token = found;
	return 0;
}

int bearer_parse(struct slice text, struct bearer *out, struct err *e)
{
	struct bearer got = { .user = "" };
	struct buf user = BUF_ON(got.user);
	struct slice flag = slice_cut(&text, ','), name = slice_cut(&text, ',');

	if (!slice_eq(flag, SLICE("n")) && !slice_eq(flag, SLICE("y")))
		return err_set(e, "channel binding is not offered");
	if (name.n > 0 &&
	    (!slice_starts(name, SLICE("a=")) || !saslname_read(slice_sub(name, 2, name.n), &user)))
		return err_set(e, "bad authorization identity");
	if (text.n == 0 || text.p[0] != '\x01')
		return err_set(e, "the GS2 header is not ended");
	if (parse_pairs(slice_sub(text, 1, text.n), &got.token, e) < 0)
		return -1;
	*out = got;
	return 0;
}

int bearer_parse_xoauth2(struct slice text, struct bearer *out, struct err *e)
{
	struct bearer got = { .user = "" };
	struct buf user = BUF_ON(got.user);
	size_t end = slice_find(text, '\x01');

	if (!slice_istarts(text, SLICE("user=")) || end == text.n || end == 5)
		return err_set(e, "no user");
	buf_add(&user, slice_sub(text, 5, end - 5));
	if (user.cut || memchr(got.user, '\0', user.n) != NULL)
		return err_set(e, "bad user");
	if (parse_pairs(slice_sub(text, end + 1, text.n), &got.token, e) < 0)
		return -1;
	*out = got;
	return 0;
}
