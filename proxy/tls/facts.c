#include "config.h"

#include "facts.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

/* The name is the client's word: only what can be a host's passes on to filters, the log and the
 * Received field. */
static bool host_like(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if (!ascii_alpha(name[i]) && !ascii_digit(name[i]) &&
		    strchr("-._", name[i]) == NULL)
			return false;
	return n > 0 && n < 256;
}

static const char *verify_word(const SSL *ssl, bool certificate)
{
	if (!(SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER))
		return "NOT";
	if (!certificate)
		return "NO";
	return SSL_get_verify_result(ssl) == X509_V_OK ? "OK" : "FAIL";
}

struct tls_facts tls_facts_of(const SSL *ssl)
{
	struct tls_facts f = { .version = SSL_get_version(ssl),
		.cipher = SSL_get_cipher_name(ssl),
		.sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name),
		.resumed = SSL_session_reused(ssl) == 1,
		.certificate = SSL_get0_peer_certificate(ssl) != NULL };

	f.bits = SSL_CIPHER_get_bits(SSL_get_current_cipher(ssl), &f.cipher_bits);
	if (f.sni != NULL && !host_like(f.sni))
		f.sni = NULL;
	f.verify = verify_word(ssl, f.certificate);
	return f;
}

static void name_line(const X509_NAME *name, char into[TLS_NAME_MAX])
{
	BIO *b = BIO_new(BIO_s_mem());
	char *text;
	long n;

	if (b != NULL && X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253) >= 0) {
		n = BIO_get_mem_data(b, &text);
		if (n >= TLS_NAME_MAX)
			n = TLS_NAME_MAX - 1;
		if (n > 0)
			memcpy(into, text, (size_t)n);
		into[n > 0 ? n : 0] = '\0';
	}
	BIO_free(b);
	ERR_clear_error();
}

static void fingerprint(X509 *certificate, char into[TLS_FINGERPRINT_MAX])
{
	static const char hex[] = "0123456789ABCDEF";
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	size_t at = 0;

	if (X509_digest(certificate, EVP_sha256(), digest, &n) != 1 || n != 32)
		return;
	for (unsigned i = 0; i < n; i++) {
		into[at++] = hex[digest[i] >> 4];
		into[at++] = hex[digest[i] & 15];
		into[at++] = i + 1 < n ? ':' : '\0';
	}
}

void tls_peer_of(const SSL *ssl, struct tls_peer *out)
{
	X509 *certificate = SSL_get0_peer_certificate(ssl);

	*out = (struct tls_peer){ 0 };
	if (certificate == NULL)
		return;
	name_line(X509_get_subject_name(certificate), out->subject);
	name_line(X509_get_issuer_name(certificate), out->issuer);
	if (X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
		out->common_name, sizeof(out->common_name)) < 0)
		out->common_name[0] = '\0';
	fingerprint(certificate, out->fingerprint);
}
