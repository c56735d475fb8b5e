#include "config.h"

#include "auth_request.h"

#include "proxy/auth/dovecot.h"

static void add_address(
    struct bytes *out, const char *ip, const char *port, const struct address *a)
{
	char text[ADDRESS_TEXT_MAX];

	if (a->family != AF_INET && a->family != AF_INET6)
		return;
	dovecot_add(out, ip, slice_z(address_text(a, text)));
	(void)bytes_addf(out, "\t%s=%u", port, (unsigned)a->port);
}

void auth_request_write(uint32_t id, const struct auth_request *r, struct bytes *out)
{
	(void)bytes_addf(out, "AUTH\t%u\t", (unsigned)id);
	(void)bytes_add(out, r->mechanism->name);
	(void)bytes_add(out, SLICE("\tservice=smtp\tnologin"));
	if (r->secure)
		(void)bytes_add(out, SLICE("\tsecured"));
	add_address(out, "lip", "lport", r->server);
	add_address(out, "rip", "rport", r->client);
	dovecot_add(out, "session", slice_z(r->session));
	if (r->response.p != NULL) {
		(void)bytes_add(out, SLICE("\tresp="));
		(void)bytes_add(out, r->response);
	}
}
