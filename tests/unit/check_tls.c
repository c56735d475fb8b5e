#include "config.h"

#include "unit.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "certificate.h"
#include "proxy/tls/server.h"

static char folder[] = "/tmp/check_tls.XXXXXX";

static char *in_folder(const char *name, char into[200])
{
	(void)snprintf(into, 200, "%s/%s", folder, name);
	return into;
}

static void make_folder(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void drop_folder(void)
{
	static const char *const names[] = { "a.pem", "a.key", "b.key", "rest.pem" };
	char path[200];

	for (size_t i = 0; i < COUNT(names); i++)
		(void)unlink(in_folder(names[i], path));
	ck_assert_int_eq(rmdir(folder), 0);
	memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
}

/* ---- certificates, made here -------------------------------------------------------------- */

static struct tls_identity make(char kind, const char *common, const char *names, int days)
{
	struct tls_identity id = { .chain = sk_X509_new_null() };

	id.certificate = certificate_make(kind, common, names, days, &id.key);
	return id;
}

/* ---- choice ------------------------------------------------------------------------------- */

static struct tls_identity all[6];

static void make_all(void)
{
	all[0] = make('e', "mx.test", "DNS:mx.test,DNS:alias.test", 30);
	all[1] = make('r', "mx.test", "DNS:mx.test", 30);
	all[2] = make('e', "x", "DNS:*.wild.test", 30);
	all[3] = make('r', "common.test", NULL, 30);
	all[4] = make('r', "x", "DNS:b.wild.test", 30);
	all[5] = make('e', "hidden.test", "DNS:shown.test", 30);
}

static void drop_all(void)
{
	for (size_t i = 0; i < COUNT(all); i++)
		tls_identity_clear(&all[i]);
}

static const struct {
	const char *name;
	const char *chosen; /* indexes */
} choices[] = {
	{ NULL, "01" },
	{ "", "01" },
	{ "mx.test", "01" },
	{ "MX.TEST", "01" },
	{ "alias.test", "0" },
	{ "a.wild.test", "2" },
	{ "b.wild.test", "24" },
	{ "a.b.wild.test", "01" }, /* a wildcard stands for one label */
	{ "wild.test", "01" },
	{ "common.test", "3" },  /* the common name counts where there are no alternatives */
	{ "hidden.test", "01" }, /* ... and not where there are */
	{ "shown.test", "5" },
	{ "nobody.test", "01" },
	{ "*.wild.test", "2" },
	{ "mx.test.", "01" },
	{ "xmx.test", "01" },
};
START_TEST(choice)
{
	size_t chosen[TLS_CHOICE_MAX], n;
	char text[TLS_CHOICE_MAX + 1] = "";

	make_all();
	n = tls_choose(all, COUNT(all), choices[_i].name, chosen);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)('0' + chosen[i]);
	drop_all();
	ck_assert_str_eq(text, choices[_i].chosen);
}
END_TEST

/* The default's companion is found by a name that its wildcard covers. */
START_TEST(default_with_wildcard)
{
	struct tls_identity v[] = { make('e', "x", "DNS:*.wild.test", 30),
		make('r', "y", "DNS:*.wild.test", 30) };
	size_t chosen[TLS_CHOICE_MAX];

	ck_assert_uint_eq(tls_choose(v, 2, NULL, chosen), 2);
	tls_identity_clear(&v[0]);
	tls_identity_clear(&v[1]);
}
END_TEST

/* ---- files -------------------------------------------------------------------------------- */

static void write_files(const struct tls_identity *id, const struct tls_identity *other)
{
	char path[200];
	FILE *f = fopen(in_folder("a.pem", path), "w");

	ck_assert_int_eq(PEM_write_X509(f, id->certificate), 1);
	ck_assert_int_eq(PEM_write_X509(f, other->certificate), 1);
	(void)fclose(f);
	f = fopen(in_folder("a.key", path), "w");
	ck_assert_int_eq(PEM_write_PrivateKey(f, id->key, NULL, NULL, 0, NULL, NULL), 1);
	(void)fclose(f);
	f = fopen(in_folder("b.key", path), "w");
	ck_assert_int_eq(PEM_write_PrivateKey(f, other->key, EVP_aes_128_cbc(),
			     (const unsigned char *)"secret", 6, NULL, NULL),
	    1);
	(void)fclose(f);
	f = fopen(in_folder("rest.pem", path), "w");
	ck_assert_int_eq(PEM_write_X509(f, id->certificate), 1);
	fputs("-----BEGIN CERTIFICATE-----\nAAAA\n", f);
	(void)fclose(f);
}

static const struct {
	const char *chain, *key, *why;
	enum tls_part part;
} loads[] = {
	{ "a.pem", "a.key", NULL, TLS_CHAIN },
	{ "none.pem", "a.key", "No such file", TLS_CHAIN },
	{ "a.pem", "none.key", "No such file", TLS_KEY },
	{ "a.key", "a.key", "holds no certificate in PEM", TLS_CHAIN },
	{ "a.pem", "a.pem", "holds no private key", TLS_KEY },
	{ "a.pem", "", "holds no private key", TLS_CHAIN },
	{ "a.pem", "b.key", "pass phrase", TLS_KEY },
	{ "rest.pem", "a.key", "rest.pem: ", TLS_CHAIN },
};
START_TEST(files)
{
	struct tls_identity id = make('e', "mx.test", NULL, 30), other = make('e', "o", NULL, 30);
	struct tls_identity got = { 0 };
	char chain[200], key[200] = "";
	struct certificate_settings s = { in_folder(loads[_i].chain, chain), key };
	enum tls_part part = TLS_CHAIN;
	struct err e = { "" };

	make_folder();
	write_files(&id, &other);
	in_folder(loads[_i].chain, chain);
	if (loads[_i].key[0] != '\0')
		in_folder(loads[_i].key, key);
	if (loads[_i].why == NULL) {
		ck_assert_int_eq(tls_identity_load(&s, &got, &part, &e), 0);
		ck_assert_int_eq(sk_X509_num(got.chain), 1);
		tls_identity_clear(&got);
	} else {
		ck_assert_int_eq(tls_identity_load(&s, &got, &part, &e), -1);
		ck_assert_msg(strstr(e.text, loads[_i].why) != NULL, "%s", e.text);
		ck_assert_int_eq(part, loads[_i].part);
		ck_assert_ptr_null(got.certificate);
	}
	tls_identity_clear(&id);
	tls_identity_clear(&other);
	drop_folder();
}
END_TEST

START_TEST(a_key_that_is_another)
{
	struct tls_identity id = make('e', "mx.test", NULL, 30), other = make('e', "o", NULL, 30);
	char chain[200], key[200];
	struct tls_identity got;
	enum tls_part part;
	struct err e;

	make_folder();
	write_files(&id, &other);
	EVP_PKEY_free(id.key);
	id.key = EVP_EC_gen("P-256");
	{
		FILE *f = fopen(in_folder("a.key", key), "w");

		ck_assert_int_eq(PEM_write_PrivateKey(f, id.key, NULL, NULL, 0, NULL, NULL), 1);
		(void)fclose(f);
	}
	ck_assert_int_eq(
	    tls_identity_load(
		&(struct certificate_settings){ in_folder("a.pem", chain), key }, &got, &part, &e),
	    -1);
	ck_assert_int_eq(part, TLS_KEY);
	ck_assert_msg(strstr(e.text, "not that of the certificate") != NULL, "%s", e.text);
	ck_assert_int_eq(chmod(key, 0644), 0);
	ck_assert_ptr_nonnull(tls_key_exposed(key));
	ck_assert_int_eq(chmod(key, 0640), 0);
	ck_assert_ptr_null(tls_key_exposed(key));
	tls_identity_clear(&id);
	tls_identity_clear(&other);
	drop_folder();
}
END_TEST

START_TEST(days)
{
	struct tls_identity good = make('e', "a", NULL, 30), over = make('e', "b", NULL, -1);
	char name[256];

	ck_assert_int_eq(tls_identity_days(&good), 30);
	ck_assert_int_lt(tls_identity_days(&over), 0);
	ck_assert_str_eq(tls_identity_name(&good, name), "a");
	tls_identity_clear(&good);
	tls_identity_clear(&over);
}
END_TEST

/* ---- handshakes in memory ----------------------------------------------------------------- */

static SSL_CTX *server(const struct tls_identity *id, const char *address, int certificates,
    struct ticket_secret *secret)
{
	struct listen_settings l = { .tls = LISTEN_TLS_OFFER,
		.tls_policy = TLS_POLICY_INTERMEDIATE,
		.client_certificates = certificates,
		.client_ca = (char[]){ "" } };
	struct err e;
	SSL_CTX *ctx = tls_server_new(&l, id, 1, address, 25, secret, &e);

	ck_assert_msg(ctx != NULL, "%s", e.text);
	return ctx;
}

static void carry(SSL *from, SSL *to)
{
	char octets[65536];
	int n = BIO_read(SSL_get_wbio(from), octets, sizeof(octets));

	if (n > 0)
		ck_assert_int_eq(BIO_write(SSL_get_rbio(to), octets, n), n);
}

static SSL *end_of(SSL_CTX *ctx)
{
	SSL *ssl = SSL_new(ctx);

	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	return ssl;
}

/* Was `session` resumed? *next: what the server gave. */
static bool meet(SSL_CTX *ctx, SSL_CTX *client, SSL_SESSION *session, SSL_SESSION **next)
{
	SSL *s = end_of(ctx), *c = end_of(client);
	bool reused;
	char octet;

	SSL_set_accept_state(s);
	SSL_set_connect_state(c);
	if (session != NULL)
		ck_assert_int_eq(SSL_set_session(c, session), 1);
	for (int i = 0; i < 6; i++) {
		(void)SSL_do_handshake(c);
		carry(c, s);
		(void)SSL_do_handshake(s);
		carry(s, c);
	}
	ck_assert(SSL_is_init_finished(s) && SSL_is_init_finished(c));
	(void)SSL_read(c, &octet, 1); /* tickets of TLS 1.3 */
	reused = SSL_session_reused(s) == 1;
	if (next != NULL)
		*next = SSL_get1_session(c);
	SSL_set_shutdown(c, SSL_SENT_SHUTDOWN);
	SSL_set_shutdown(s, SSL_SENT_SHUTDOWN);
	SSL_free(c);
	SSL_free(s);
	return reused;
}

/* W29, and the keys' way through time. */
START_TEST(tickets)
{
	struct tls_identity id = make('e', "mx.test", NULL, 30);
	struct ticket_secret secret, fork;
	SSL_CTX *client = SSL_CTX_new(TLS_client_method()), *one, *same, *other, *strict;
	SSL_SESSION *session;
	struct err e;

	ck_assert_int_eq(ticket_secret_init(&secret, &e), 0);
	SSL_CTX_set_max_proto_version(client, _i == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
	fork = secret;
	one = server(&id, "192.0.2.1", CLIENT_CERTIFICATES_OFF, &secret);
	same = server(&id, "192.0.2.1", CLIENT_CERTIFICATES_OFF, &fork);
	other = server(&id, "192.0.2.2", CLIENT_CERTIFICATES_OFF, &secret);
	strict = server(&id, "192.0.2.1", CLIENT_CERTIFICATES_ASK, &secret);
	ck_assert(!meet(one, client, NULL, &session));
	ck_assert(meet(one, client, session, NULL));
	ck_assert(meet(same, client, session, NULL)); /* another worker */
	ck_assert(!meet(other, client, session, NULL));
	ck_assert(!meet(strict, client, session, NULL));
	/* As if the ticket were of the epoch before, and of the one before that. */
	fork.epoch -= 1;
	SSL_CTX_free(same);
	same = server(&id, "192.0.2.1", CLIENT_CERTIFICATES_OFF, &fork);
	ck_assert(meet(same, client, session, NULL));
	fork = secret;
	fork.epoch -= 2;
	SSL_CTX_free(same);
	same = server(&id, "192.0.2.1", CLIENT_CERTIFICATES_OFF, &fork);
	ck_assert(!meet(same, client, session, NULL));
	SSL_SESSION_free(session);
	SSL_CTX_free(client);
	SSL_CTX_free(one);
	SSL_CTX_free(same);
	SSL_CTX_free(other);
	SSL_CTX_free(strict);
	tls_identity_clear(&id);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tls");
	TCase *tc = tcase_create("tls");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, choice, 0, COUNT(choices));
	tcase_add_test(tc, default_with_wildcard);
	tcase_add_loop_test(tc, files, 0, COUNT(loads));
	tcase_add_test(tc, a_key_that_is_another);
	tcase_add_test(tc, days);
	tcase_add_loop_test(tc, tickets, 0, 2);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
