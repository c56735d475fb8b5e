#include "config.h"

#include "envelope.h"

#include "parameters.h"

size_t envelope_xforward(struct backend *b, const struct relay_client *client, const struct mail *m)
{
	unsigned attributes = backend_abilities(b)->xforward;
	struct introduction who = { 0 };
	struct bytes text = { 0 };
	size_t count;

	if (backend_route(b)->settings->identity != IDENTITY_XFORWARD || attributes == 0)
		return 0;
	client->introduce(client->arg, &who);
	who.ident = m->id;
	count = introduction_write(INTRODUCTION_XFORWARD, attributes, &who, &text);
	for (size_t i = 1; i < count; i++)
		(void)backend_command(b, BACKEND_XFORWARD);
	(void)bytes_add(backend_command(b, BACKEND_XFORWARD), bytes_slice(&text));
	bytes_free(&text);
	return count;
}

static void path(struct backend *b, enum backend_verb verb, struct slice command,
    const char *address, const char *parameters)
{
	struct bytes *out = backend_command(b, verb);

	(void)bytes_add(out, command);
	(void)bytes_add(out, slice_z(address));
	(void)bytes_addc(out, '>');
	parameters_write(parameters, backend_abilities(b)->extensions, out);
	(void)bytes_add(out, SLICE("\r\n"));
}

void envelope_mail(struct backend *b, const struct mail *m)
{
	path(b, BACKEND_MAIL, SLICE("MAIL FROM:<"), m->reverse_path, m->parameters);
}

void envelope_recipient(struct backend *b, const struct mail_recipient *to)
{
	path(b, BACKEND_RCPT, SLICE("RCPT TO:<"), to->address, to->parameters);
}
