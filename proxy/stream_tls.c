#include "config.h"

#include "stream_tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "proxy/tls/words.h"

/* Octets that one call takes from the socket. A record of 16 KiB that was half there may come on
 * top, so what a call brings fits into stream.c's buffer of 64 KiB. */
#define TURN_MAX (48 * 1024)

struct stream_tls {
	SSL *ssl;
	int fd;
	int error;        /* errno of the socket */
	uint32_t turn;    /* octets that this call may still take */
	bool drained;     /* the socket had less than was asked for: no use to ask again now */
	bool eof, heard;  /* the peer's end was read; anything was */
	bool more;        /* OpenSSL may hold octets that nobody took */
	bool wants_write; /* ... or has something to say before it goes on */
	bool broken; /* after a fatal error nothing may be called any more, SSL_shutdown least */
	const char *words;
};

/* ---- the socket, as OpenSSL sees it ------------------------------------------------------- */

static int bio_read(BIO *b, char *into, int n)
{
	struct stream_tls *t = BIO_get_data(b);
	ssize_t got;

	BIO_clear_retry_flags(b);
	if (t->drained || t->turn == 0) {
		BIO_set_retry_read(b);
		return -1;
	}
	got = recv(t->fd, into, (size_t)n < t->turn ? (size_t)n : t->turn, 0);
	if (got > 0) {
		t->drained = got < n;
		t->turn -= (uint32_t)got;
		t->heard = true;
		return (int)got;
	}
	t->eof = got == 0;
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		t->drained = true;
		BIO_set_retry_read(b);
	} else if (got < 0) {
		t->error = errno;
	}
	return (int)got;
}

static int bio_write(BIO *b, const char *octets, int n)
{
	struct stream_tls *t = BIO_get_data(b);
	ssize_t put;

	BIO_clear_retry_flags(b);
	put = send(t->fd, octets, (size_t)n, MSG_NOSIGNAL);
	if (put < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(b);
	else if (put < 0)
		t->error = errno;
	return (int)put;
}

static long bio_ctrl(BIO *b, int command, long number, void *pointer)
{
	const struct stream_tls *t = BIO_get_data(b);

	(void)number;
	(void)pointer;
	if (command == BIO_CTRL_EOF)
		return t->eof;
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method(void)
{
	static BIO_METHOD *method; /* OpenSSL's own shape of a constant */

	if (method == NULL && (method = BIO_meth_new(BIO_get_new_index(), "stream")) != NULL) {
		(void)BIO_meth_set_read(method, bio_read);
		(void)BIO_meth_set_write(method, bio_write);
		(void)BIO_meth_set_ctrl(method, bio_ctrl);
	}
	return method;
}

/* ---- life --------------------------------------------------------------------------------- */

struct stream_tls *stream_tls_new(SSL *ssl, int fd)
{
	struct stream_tls *t = calloc(1, sizeof(*t));
	BIO_METHOD *method = bio_method();
	BIO *bio = method != NULL ? BIO_new(method) : NULL;

	if (t == NULL || bio == NULL) {
		free(t);
		BIO_free(bio);
		SSL_free(ssl);
		return NULL;
	}
	t->ssl = ssl;
	t->fd = fd;
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	/* Whole buffers from the socket, and none kept that is empty; a write may come again from
	 * another place, and may stop behind any record. */
	SSL_set_read_ahead(ssl, 1);
	(void)SSL_set_mode(ssl,
	    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return t;
}

void stream_tls_free(struct stream_tls **at, bool polite)
{
	struct stream_tls *t = *at;

	*at = NULL;
	if (t == NULL)
		return;
	if (polite)
		stream_tls_shut(t);
	/* A session that no close_notify ended would count as broken and could not be resumed; but
	 * SMTP knows its ends. */
	if (!t->broken)
		SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(t->ssl);
	free(t);
}

/* ---- calls -------------------------------------------------------------------------------- */

static void begin(struct stream_tls *t)
{
	t->turn = TURN_MAX;
	t->drained = t->wants_write = false;
	t->error = 0;
	ERR_clear_error();
}

/* "certificate verify failed" says too little. */
static const char *words_of(const struct stream_tls *t)
{
	long verdict = SSL_get_verify_result(t->ssl);
	bool untrusted = ERR_GET_REASON(ERR_peek_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED;
	const char *words = tls_words();

	return untrusted ? X509_verify_cert_error_string(verdict) : words;
}

/* What a call came to that returned `rc`. 0 is the peer's end, -1 has errno. */
static ssize_t end(struct stream_tls *t, int rc)
{
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_WANT_WRITE:
		t->wants_write = true;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		t->broken = true;
		if (t->error == 0)
			t->words = words_of(t);
		errno = t->error != 0 ? t->error : EPROTO;
		return -1;
	}
}

int stream_tls_handshake(struct stream_tls *t)
{
	int rc;

	begin(t);
	rc = SSL_do_handshake(t->ssl);
	if (rc == 1) {
		t->more = true; /* what came with the last flight */
		return 1;
	}
	rc = (int)end(t, rc);
	if (rc < 0 && errno == EAGAIN)
		return 0;
	t->broken = true;
	if (rc == 0 || t->eof) {
		t->words = "the peer closed the connection";
		errno = EPROTO;
	}
	return -1;
}

ssize_t stream_tls_read(struct stream_tls *t, void *into, size_t n)
{
	size_t done = 0, got;

	begin(t);
	while (done < n) {
		int rc = SSL_read_ex(t->ssl, (char *)into + done, n - done, &got);
		ssize_t result;

		if (rc == 1) {
			done += got;
			continue;
		}
		result = end(t, rc);
		/* The end and errors stay, and are told again when they stand alone. */
		t->more = done > 0 && (result == 0 || errno != EAGAIN);
		return done > 0 ? (ssize_t)done : result;
	}
	t->more = true;
	return (ssize_t)done;
}

ssize_t stream_tls_peek(struct stream_tls *t, void *into, size_t n)
{
	size_t got;
	int rc;

	begin(t);
	rc = SSL_peek_ex(t->ssl, into, n, &got);
	t->more = true;
	return rc == 1 ? (ssize_t)got : end(t, rc);
}

ssize_t stream_tls_write(struct stream_tls *t, const void *octets, size_t n)
{
	size_t put;
	ssize_t rc;

	begin(t);
	if (SSL_write_ex(t->ssl, octets, n, &put) == 1)
		return (ssize_t)put;
	rc = end(t, 0);
	/* Without renegotiation a write never waits for the peer to speak first. */
	if (rc == 0 || (errno == EAGAIN && !t->wants_write)) {
		errno = EPIPE;
		rc = -1;
	}
	t->wants_write = false;
	return rc;
}

void stream_tls_shut(struct stream_tls *t)
{
	if (t->broken || SSL_in_init(t->ssl) || (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN))
		return;
	begin(t);
	if (SSL_shutdown(t->ssl) < 0)
		ERR_clear_error(); /* whoever does not read does not need to hear it */
	(void)SSL_free_buffers(t->ssl);
}

/* ---- what is known ------------------------------------------------------------------------ */

bool stream_tls_wants_write(const struct stream_tls *t)
{
	return t->wants_write;
}

bool stream_tls_more(const struct stream_tls *t)
{
	return t->more;
}

bool stream_tls_heard(const struct stream_tls *t)
{
	return t->heard;
}

const char *stream_tls_error(const struct stream_tls *t)
{
	return t->words != NULL ? t->words : "TLS error";
}

SSL *stream_tls_ssl(const struct stream_tls *t)
{
	return t->ssl;
}
