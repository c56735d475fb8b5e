#include "config.h"

#include "front.h"

#include <stdlib.h>

#define TEXT_MAX 255

static bool printable(char c)
{
	return c > ' ' && c <= '~';
}

bool front_text(char **at, struct slice text)
{
	free(*at);
	*at = NULL;
	if (text.p == NULL)
		return true;
	text = slice_sub(text, 0, TEXT_MAX);
	if ((*at = slice_dup(text)) == NULL)
		return false;
	for (size_t i = 0; i < text.n; i++)
		if (!printable((*at)[i]))
			(*at)[i] = '?';
	return true;
}

static bool keep_id(char **at, struct slice id)
{
	char text[2 * PROXY_UNIQUE_MAX + 1] = "";
	struct buf b = BUF_ON(text);
	bool plain = true;

	for (size_t i = 0; i < id.n; i++)
		plain &= printable(id.p[i]);
	if (plain)
		return front_text(at, id);
	for (size_t i = 0; i < id.n; i++)
		buf_addf(&b, "%02x", (uint8_t)id.p[i]);
	return (*at = slice_dup(buf_slice(&b))) != NULL;
}

struct front *front_new(void)
{
	struct front *f = calloc(1, sizeof(*f));

	if (f != NULL)
		f->ttl = UINT64_MAX;
	return f;
}

struct front *front_of(const struct proxy_header *h)
{
	struct front *f = front_new();

	if (f == NULL)
		return NULL;
	if (!h->local)
		f->server = h->server;
	f->tls = h->tls.used;
	f->tls_verified = h->tls.verified;
	if (!keep_id(&f->unique_id, h->unique_id) || !front_text(&f->authority, h->authority) ||
	    !front_text(&f->tls_version, h->tls.version) ||
	    !front_text(&f->tls_cipher, h->tls.cipher) ||
	    !front_text(&f->tls_name, h->tls.common_name))
		front_free(&f);
	return f;
}

void front_free(struct front **at)
{
	struct front *f = *at;

	*at = NULL;
	if (f == NULL)
		return;
	free(f->unique_id);
	free(f->authority);
	free(f->tls_version);
	free(f->tls_cipher);
	free(f->tls_name);
	free(f->login);
	free(f);
}
