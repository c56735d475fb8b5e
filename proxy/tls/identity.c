#include "config.h"

#include "identity.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "words.h"

/* A chain with more certificates is no chain. */
#define CHAIN_MAX 16

/* A daemon has nobody to ask: a key with a pass phrase is an error at once. */
static int no_pass_phrase(char *into, int n, int writing, void *arg)
{
	(void)into;
	(void)n;
	(void)writing;
	(void)arg;
	return -1;
}

static FILE *open_file(const char *path, struct err *e)
{
	FILE *f = fopen(path, "re");

	if (f == NULL)
		err_set(e, "%s: %s", path, strerror(errno));
	return f;
}

static bool no_more_pem(void)
{
	unsigned long code = ERR_peek_last_error();

	return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static int read_rest(FILE *f, const char *path, STACK_OF(X509) * chain, struct err *e)
{
	X509 *one;

	while ((one = PEM_read_X509(f, NULL, no_pass_phrase, NULL)) != NULL) {
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
	FILE *f = open_file(path, e);
	int rc = -1;

	if (f == NULL)
		return -1;
	ERR_clear_error();
	if ((id->certificate = PEM_read_X509_AUX(f, NULL, no_pass_phrase, NULL)) == NULL)
		err_set(
		    e, "%s: %s", path, no_more_pem() ? "holds no certificate in PEM" : tls_words());
	else if ((id->chain = sk_X509_new_null()) == NULL)
		err_set(e, "out of memory");
	else
		rc = read_rest(f, path, id->chain, e);
	(void)fclose(f);
	return rc;
}

static int read_key(const char *path, struct tls_identity *id, struct err *e)
{
	FILE *f = open_file(path, e);

	if (f == NULL)
		return -1;
	ERR_clear_error();
	/* The buffer of stdio held the key as well. */
	(void)setvbuf(f, NULL, _IONBF, 0);
	id->key = PEM_read_PrivateKey(f, NULL, no_pass_phrase, NULL);
	(void)fclose(f);
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
		.changed = st.st_mtim, .size = st.st_size, .inode = st.st_ino, .there = true
	};
}

bool tls_stamp_same(const struct tls_stamp *a, const struct tls_stamp *b)
{
	return a->there == b->there && a->size == b->size && a->inode == b->inode &&
	    a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}
