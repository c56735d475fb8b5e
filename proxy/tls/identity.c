#include "config.h"

#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "words.h"

/* A chain with more certificates is no chain. */
#define CHAIN_MAX 16
#define PEM_MAX   1048576

/* A daemon has nobody to ask: a key with a pass phrase is an error at once. */
static int no_pass_phrase(char *into, int n, int writing, void *arg)
{
	(void)into;
	(void)n;
	(void)writing;
	(void)arg;
	return -1;
}

/* A whole file, which may hold a key: no buffer of it stays behind. */
struct pem {
	char *p;
	size_t n;
	BIO *bio;
};

static void pem_close(struct pem *f)
{
	BIO_free(f->bio);
	OPENSSL_clear_free(f->p, f->n);
	*f = (struct pem){ 0 };
}

static int fill(struct pem *f, int fd)
{
	size_t n = 0;

	while (n < f->n) {
		ssize_t some = read(fd, f->p + n, f->n - n);

		if (some < 0 && errno == EINTR)
			continue;
		if (some <= 0)
			return -1;
		n += (size_t)some;
	}
	return 0;
}

static int pem_open(const char *path, struct pem *f, struct err *e)
{
	/* A named pipe in the place of a file must not hold us. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = -1;
	struct stat st;

	*f = (struct pem){ 0 };
	if (fd < 0 || fstat(fd, &st) < 0)
		err_set(e, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode) || st.st_size > PEM_MAX)
		err_set(e, "%s: no file of at most %d octets", path, PEM_MAX);
	else if ((f->p = OPENSSL_malloc((size_t)st.st_size + 1)) == NULL)
		err_set(e, "out of memory");
	else {
		f->n = (size_t)st.st_size;
		if (fill(f, fd) < 0)
			err_set(e, "%s: changes while it is read", path);
		else if ((f->bio = BIO_new_mem_buf(f->p, (int)f->n)) == NULL)
			err_set(e, "out of memory");
		else
			rc = 0;
	}
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		pem_close(f);
	return rc;
}

static bool no_more_pem(void)
{
	unsigned long code = ERR_peek_last_error();

	return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static int read_rest(BIO *f, const char *path, STACK_OF(X509) * chain, struct err *e)
{
	X509 *one;

	while ((one = PEM_read_bio_X509(f, NULL, no_pass_phrase, NULL)) != NULL) {
		if (sk_X509_num(chain) >= CHAIN_MAX || sk_X509_push(chain, one) == 0) {
			X509_free(one);
			return err_set(e, "%s: more than %d certificates", path, CHAIN_MAX);
		}
	}
	if (!no_more_pem())
		return err_set(e, "%s: %s", path, tls_words());
	ERR_clear_error();
	return 0;
}

static int read_chain(const char *path, struct tls_identity *id, struct err *e)
{
	struct pem f;
	int rc = -1;

	if (pem_open(path, &f, e) < 0)
		return -1;
	ERR_clear_error();
	if ((id->certificate = PEM_read_bio_X509_AUX(f.bio, NULL, no_pass_phrase, NULL)) == NULL)
		err_set(
		    e, "%s: %s", path, no_more_pem() ? "holds no certificate in PEM" : tls_words());
	else if ((id->chain = sk_X509_new_null()) == NULL)
		err_set(e, "out of memory");
	else
		rc = read_rest(f.bio, path, id->chain, e);
	pem_close(&f);
	return rc;
}

static int read_key(const char *path, struct tls_identity *id, struct err *e)
{
	struct pem f;

	if (pem_open(path, &f, e) < 0)
		return -1;
	id->key = PEM_read_bio_PrivateKey(f.bio, NULL, no_pass_phrase, NULL);
	pem_close(&f);
	ERR_clear_error();
	if (id->key == NULL)
		return err_set(e, "%s: holds no private key in PEM without a pass phrase", path);
	return 0;
}

int tls_identity_load(const struct certificate_settings *s, struct tls_identity *out,
    enum tls_part *part, struct err *e)
{
	const char *key = s->key[0] != '\0' ? s->key : s->chain;
	struct tls_identity id = { 0 };

	*part = TLS_CHAIN;
	if (read_chain(s->chain, &id, e) < 0) {
		tls_identity_clear(&id);
		return -1;
	}
	*part = s->key[0] != '\0' ? TLS_KEY : TLS_CHAIN;
	if (read_key(key, &id, e) < 0) {
		tls_identity_clear(&id);
		return -1;
	}
	if (X509_check_private_key(id.certificate, id.key) != 1) {
		ERR_clear_error();
		tls_identity_clear(&id);
		return err_set(
		    e, "%s: the key is not that of the certificate in %s", key, s->chain);
	}
	*out = id;
	return 0;
}

void tls_identity_clear(struct tls_identity *id)
{
	X509_free(id->certificate);
	sk_X509_pop_free(id->chain, X509_free);
	EVP_PKEY_free(id->key); /* OpenSSL wipes it */
	*id = (struct tls_identity){ 0 };
}

int tls_identity_share(const struct tls_identity *id, struct tls_identity *out)
{
	STACK_OF(X509) *chain = X509_chain_up_ref(id->chain);

	if (chain == NULL)
		return -1;
	(void)X509_up_ref(id->certificate);
	(void)EVP_PKEY_up_ref(id->key);
	*out = (struct tls_identity){ id->certificate, chain, id->key };
	return 0;
}

bool tls_identity_named(const struct tls_identity *id, const char *name)
{
	return X509_check_host(
		   id->certificate, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

int tls_identity_kind(const struct tls_identity *id)
{
	return EVP_PKEY_get_base_id(id->key);
}

/* The first DNS name of the subject's alternatives. False where there is none that is a text. */
static bool first_dns_name(X509 *certificate, char into[256])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	bool found = false;

	for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *text = one->type == GEN_DNS ? one->d.dNSName : NULL;
		int n = text != NULL ? ASN1_STRING_length(text) : 0;

		if (n <= 0 || n >= 256)
			continue;
		memcpy(into, ASN1_STRING_get0_data(text), (size_t)n);
		into[n] = '\0';
		found = strlen(into) == (size_t)n;
	}
	GENERAL_NAMES_free(names);
	return found;
}

char *tls_identity_name(const struct tls_identity *id, char into[256])
{
	if (!first_dns_name(id->certificate, into) &&
	    X509_NAME_get_text_by_NID(
		X509_get_subject_name(id->certificate), NID_commonName, into, 256) < 0)
		into[0] = '\0';
	return into;
}

int tls_identity_days(const struct tls_identity *id)
{
	int days = 0, seconds = 0;

	if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(id->certificate)) != 1)
		return -1;
	return days > 0 || (days == 0 && seconds > 0) ? days : days < 0 ? days : -1;
}

const char *tls_key_exposed(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return NULL;
	if (st.st_mode & S_IROTH)
		return "everybody may read the private key: chmod o-r";
	if (st.st_mode & (S_IWOTH | S_IWGRP))
		return "others than its owner may write the private key: chmod go-w";
	return NULL; /* that a group may read it is how a daemon gets at a key of root's */
}

struct tls_stamp tls_stamp_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return (struct tls_stamp){ .there = false };
	return (struct tls_stamp){
		.changed = st.st_ctim, .size = st.st_size, .inode = st.st_ino, .there = true
	};
}

bool tls_stamp_same(const struct tls_stamp *a, const struct tls_stamp *b)
{
	return a->there == b->there && a->size == b->size && a->inode == b->inode &&
	    a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}
