#include "config.h"

#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <openssl/err.h>

void channel_connect(struct channel *c, const struct sockaddr *to, socklen_t to_n)
{
	int one = 1;

	*c = (struct channel){ .fd = socket(
				   to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
	if (c->fd < 0)
		load_stop("socket: %s", strerror(errno));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, to, to_n) < 0 && errno != EINPROGRESS)
		load_stop("connect: %s", strerror(errno));
}

/* What OpenSSL says instead of octets: wait, the end, or an error, which ends the program. */
static ssize_t tls_outcome(struct channel *c, int rc)
{
	int why = SSL_get_error(c->ssl, rc);

	c->want_write = why == SSL_ERROR_WANT_WRITE;
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return CHANNEL_WAIT;
	if (why == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (why == SSL_ERROR_SYSCALL)
		load_stop("TLS: %s", errno != 0 ? strerror(errno) : "the connection ended");
	load_stop("TLS: %s", ERR_reason_error_string(ERR_get_error()));
}

static ssize_t plain_outcome(struct channel *c, ssize_t n, bool write)
{
	if (n >= 0)
		return n;
	if (errno != EAGAIN)
		load_stop("%s: %s", write ? "write" : "read", strerror(errno));
	c->want_write = write;
	return CHANNEL_WAIT;
}

ssize_t channel_read(struct channel *c, void *into, size_t n)
{
	int rc;

	c->want_write = false;
	if (c->ssl == NULL)
		return plain_outcome(c, recv(c->fd, into, n, 0), false);
	ERR_clear_error();
	errno = 0;
	rc = SSL_read(c->ssl, into, (int)n);
	return rc > 0 ? rc : tls_outcome(c, rc);
}

ssize_t channel_write(struct channel *c, struct slice octets)
{
	int rc;

	c->want_write = false;
	if (c->ssl == NULL)
		return plain_outcome(c, send(c->fd, octets.p, octets.n, MSG_NOSIGNAL), true);
	ERR_clear_error();
	errno = 0;
	rc = SSL_write(c->ssl, octets.p, (int)octets.n);
	return rc > 0 ? rc : tls_outcome(c, rc);
}

void channel_start_tls(struct channel *c, SSL_CTX *tls, SSL_SESSION *ticket, void *arg)
{
	c->ssl = SSL_new(tls);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
		load_stop("TLS: out of memory");
	SSL_set_app_data(c->ssl, arg);
	SSL_set_connect_state(c->ssl);
	if (ticket != NULL)
		(void)SSL_set_session(c->ssl, ticket);
}

bool channel_handshake(struct channel *c)
{
	int rc;

	c->want_write = false;
	ERR_clear_error();
	errno = 0;
	rc = SSL_do_handshake(c->ssl);
	if (rc == 1)
		return true;
	if (tls_outcome(c, rc) == 0)
		load_stop("TLS: closed in the handshake");
	return false;
}

void channel_close(struct channel *c)
{
	/* Without this OpenSSL takes the ticket for one of a broken connection. */
	if (c->ssl != NULL)
		(void)SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	if (c->fd >= 0)
		close(c->fd);
	*c = (struct channel){ .fd = -1 };
}
