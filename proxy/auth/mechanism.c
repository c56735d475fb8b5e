#include "config.h"

#include "mechanism.h"

/* authzid NUL authcid NUL password (RFC 4616). */
static void login_plain(struct slice response, struct buf *into)
{
	(void)slice_cut(&response, '\0');
	buf_add(into, slice_cut(&response, '\0'));
}

static void login_whole(struct slice response, struct buf *into)
{
	buf_add(into, response);
}

/* The name, a blank and the digest (RFC 2195); a name may hold blanks. */
static void login_cram(struct slice response, struct buf *into)
{
	size_t n = response.n;

	while (n > 0 && response.p[n - 1] != ' ')
		n--;
	if (n > 0)
		buf_add(into, slice_sub(response, 0, n - 1));
}

/* "n,,n=user,r=nonce" (RFC 5802 5.1). */
static void login_scram(struct slice response, struct buf *into)
{
	struct slice name;

	(void)slice_cut(&response, ',');
	(void)slice_cut(&response, ',');
	name = slice_cut(&response, ',');
	if (slice_starts(name, SLICE("n=")))
		(void)saslname_read(slice_sub(name, 2, name.n), into);
}

static void login_bearer(struct slice response, struct buf *into)
{
	struct bearer b;

	if (bearer_parse(response, &b, NULL) == 0)
		buf_add(into, slice_z(b.user));
}

static void login_xoauth2(struct slice response, struct buf *into)
{
	struct bearer b;

	if (bearer_parse_xoauth2(response, &b, NULL) == 0)
		buf_add(into, slice_z(b.user));
}

/* In the order in which EHLO lists them. */
static const struct mechanism mechanisms[] = {
	{ SLICE("PLAIN"), 1, login_plain },
	{ SLICE("LOGIN"), 2, login_whole },
	{ SLICE("CRAM-MD5"), 4, login_cram },
	{ SLICE("SCRAM-SHA-1"), 8, login_scram },
	{ SLICE("SCRAM-SHA-256"), 16, login_scram },
	{ SLICE("SCRAM-SHA-512"), 32, login_scram },
	{ SLICE("OAUTHBEARER"), 64, login_bearer },
	{ SLICE("XOAUTH2"), 128, login_xoauth2 },
};

const struct mechanism *mechanism_find(struct slice name)
{
	for (size_t i = 0; i < COUNT(mechanisms); i++)
		if (slice_ieq(name, mechanisms[i].name))
			return &mechanisms[i];
	return NULL;
}

unsigned mechanisms_read(struct slice names)
{
	unsigned set = 0;

	while (names.n > 0) {
		const struct mechanism *m = mechanism_find(slice_cut(&names, ' '));

		set |= m != NULL ? m->bit : 0;
	}
	return set;
}

void mechanisms_write(unsigned set, struct bytes *out)
{
	for (size_t i = 0; i < COUNT(mechanisms); i++) {
		if (!(set & mechanisms[i].bit))
			continue;
		(void)bytes_addc(out, ' ');
		(void)bytes_add(out, mechanisms[i].name);
	}
}
