#include "config.h"

#include "identity.h"

#include <openssl/evp.h>

/* A line with a name in front and an LF behind, which no unfolded value holds, so that what stands
 * in one field never reads as another. */
static bool add_field(EVP_MD_CTX *sha, struct message *m, struct slice name)
{
	struct header_field *f = message_find(m, name, 0);
	struct slice value = f != NULL ? slice_trim(header_value(m, f)) : (struct slice){ 0 };

	return EVP_DigestUpdate(sha, name.p, name.n) == 1 &&
	    EVP_DigestUpdate(sha, f != NULL ? ":" : "-", 1) == 1 &&
	    (value.n == 0 || EVP_DigestUpdate(sha, value.p, value.n) == 1) &&
	    EVP_DigestUpdate(sha, "\n", 1) == 1;
}

bool identity_of(struct message *m, uint8_t id[32])
{
	static const struct slice names[] = {
		{ "message-id", 10 },
		{ "date", 4 },
		{ "from", 4 },
		{ "subject", 7 },
	};
	struct slice body = bytes_slice(&m->body);
	EVP_MD_CTX *sha = EVP_MD_CTX_new();
	bool good = sha != NULL && EVP_DigestInit_ex(sha, EVP_sha256(), NULL) == 1;

	for (size_t i = 0; good && i < COUNT(names); i++)
		good = add_field(sha, m, names[i]);
	/* An mbox, a list or a mailbox adds or takes blank lines at the end. */
	while (body.n > 0 && ascii_space(body.p[body.n - 1]))
		body.n--;
	good = good && (body.n == 0 || EVP_DigestUpdate(sha, body.p, body.n) == 1) &&
	    EVP_DigestFinal_ex(sha, id, NULL) == 1;
	EVP_MD_CTX_free(sha);
	return good;
}
