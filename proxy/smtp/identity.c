#include "config.h"

#include "identity.h"

#include <stdio.h>

#include "auth.h"
#include "proxy/listen/front.h"

static int newline_policy(const struct proxy_settings *p, const struct address *client)
{
	const struct bare_newline_exception *x = p->bare_newline_exceptions.v;

	for (size_t i = 0; i < p->bare_newline_exceptions.n; i++)
		if (conf_networks_have(&x[i].from, client))
			return x[i].policy;
	return p->bare_newline;
}

static void on_name(struct client_name *name, void *arg)
{
	struct session *s = arg;
	void (*go)(struct session * s) = s->named;

	s->name_query = NULL;
	s->name = name;
	if (go == NULL)
		return;
	s->named = NULL;
	s->busy = false;
	go(s);
	if (!s->busy)
		session_process(s);
}

void identity_begin(struct session *s, const struct address *client)
{
	s->client = *client;
	(void)address_text(client, s->client_text);
	s->bare_newline = newline_policy(s->settings, client);
	s->reader.lf_ends = s->bare_newline == BARE_NEWLINE_NOTE;
	if (s->name == NULL && s->name_query == NULL && s->worker->names != NULL)
		s->name_query = names_find(s->worker->names, client, on_name, s, &s->name);
}

void identity_forget(struct session *s)
{
	names_cancel(&s->name_query);
	client_name_unref(&s->name);
}

void identity_await(struct session *s, void (*go)(struct session *s))
{
	if (s->name_query == NULL) {
		go(s);
		return;
	}
	s->named = go;
	s->busy = true;
}

const char *identity_name(const struct session *s)
{
	return s->name != NULL ? s->name->name : NULL;
}

/* TLS that was ended in front of us, in the words that ours is told with. */
static void front_tls(struct session *s, const struct front *f)
{
	char subject[300] = "";
	struct buf b = BUF_ON(subject);

	buf_addf(&b, "/CN=%s", f->tls_name != NULL ? f->tls_name : "");
	chain_macro(s->chain, "{tls_version}", slice_z(f->tls_version));
	chain_macro(s->chain, "{cipher}", slice_z(f->tls_cipher));
	chain_macro(s->chain, "{tls_sni}", slice_z(f->authority));
	chain_macro(s->chain, "{verify}", f->tls_verified ? SLICE("OK") : SLICE("NO"));
	if (f->tls_verified && f->tls_name != NULL)
		chain_macro(s->chain, "{cert_subject}", buf_slice(&b));
}

static void front_macros(struct session *s)
{
	const struct front *f = s->front;
	char address[ADDRESS_TEXT_MAX];

	if (f == NULL)
		return;
	if (f->server.family != AF_UNSPEC) {
		(void)address_text(&f->server, address);
		chain_macro(s->chain, "{daemon_addr}", slice_z(address));
		chain_macro(s->chain, "{if_addr}", slice_z(address));
	}
	chain_macro(s->chain, "{weir_unique_id}", slice_z(f->unique_id));
	if (f->tls)
		front_tls(s, f);
	chain_macro(s->chain, "{auth_authen}", slice_z(f->login));
	if (f->login != NULL)
		chain_macro(s->chain, "{auth_type}", SLICE("XCLIENT"));
}

void identity_macros(struct session *s)
{
	char text[512] = "", port[8];
	struct buf b = BUF_ON(text);
	const struct client_name *n = s->name;
	const char *name = identity_name(s);

	(void)snprintf(port, sizeof(port), "%u", (unsigned)s->client.port);
	buf_addf(&b, "[%s]", s->client_text);
	chain_macro(s->chain, "{client_name}", name != NULL ? slice_z(name) : buf_slice(&b));
	if (name != NULL) {
		b.n = 0;
		buf_addf(&b, "%s [%s]", name, s->client_text);
	}
	chain_macro(s->chain, "_", buf_slice(&b));
	chain_macro(s->chain, "{client_addr}", slice_z(s->client_text));
	chain_macro(s->chain, "{client_port}", slice_z(port));
	if (n != NULL) {
		chain_macro(s->chain, "{client_ptr}", slice_z(n->ptr != NULL ? n->ptr : "unknown"));
		chain_macro(
		    s->chain, "{client_resolve}", slice_z(client_resolve_words[n->resolve]));
	}
	front_macros(s);
}

struct address identity_server(const struct session *s)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t n = sizeof(ss);

	if (s->front != NULL && s->front->server.family != AF_UNSPEC)
		return s->front->server;
	if (getsockname(stream_fd(s->stream), (struct sockaddr *)&ss, &n) < 0)
		return (struct address){ .family = AF_UNSPEC };
	return address_of((const struct sockaddr *)&ss);
}

static void introduce(void *session, struct introduction *into)
{
	const struct session *s = session;

	*into = (struct introduction){ .session = s->id,
		.helo = s->helo,
		.name = identity_name(s),
		.login = auth_login(s),
		.name_later = s->name != NULL && s->name->resolve == CLIENT_TEMP,
		.esmtp = s->esmtp,
		.client = s->client,
		.server = identity_server(s),
		.ttl = s->front != NULL && s->front->ttl != UINT64_MAX ? s->front->ttl
								       : INTRODUCTION_TTL };
}

struct relay *identity_relay(struct session *s)
{
	struct relay_client client = { .session = s->id, .introduce = introduce, .arg = s };

	if (s->relay == NULL)
		s->relay = relay_new(s->worker->upstream, &client);
	return s->relay;
}
