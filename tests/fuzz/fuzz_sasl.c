#include "config.h"

#include <stdlib.h>

#include "proxy/auth/base64.h"
#include "proxy/auth/mechanism.h"

#define MAX 12288

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* What is base64 is written again as it was. */
static struct slice decode(struct slice text, struct buf *octets)
{
	static char back[BASE64_MAX(MAX) + 1];
	struct buf again = BUF_ON(back);

	if (!base64_read(text, octets))
		return text; /* then it stands for itself */
	base64_write(buf_slice(octets), &again);
	if (!slice_eq(text, buf_slice(&again)))
		abort();
	return buf_slice(octets);
}

/* The first octet chooses the mechanism, the rest is a client's response, in base64 or not. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct slice names[] = { SLICE("PLAIN"), SLICE("LOGIN"), SLICE("CRAM-MD5"),
		SLICE("SCRAM-SHA-1"), SLICE("OAUTHBEARER"), SLICE("XOAUTH2") };
	static char store[MAX + 4];
	char name[LOGIN_MAX + 1] = "";
	struct buf octets = BUF_ON(store), login = BUF_ON(name);
	struct slice response;
	struct bearer b = { .user = "" };

	if (n == 0 || n > MAX)
		return 0;
	response = decode(slice_of(p + 1, n - 1), &octets);
	mechanism_find(names[p[0] % COUNT(names)])->login(response, &login);
	if (bearer_parse(response, &b, NULL) == 0 && (b.token.n == 0 || strlen(b.user) > LOGIN_MAX))
		abort();
	(void)mechanisms_read(response);
	return 0;
}
