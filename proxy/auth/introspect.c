#include "config.h"

#include "introspect.h"

#include <stdlib.h>

#include <curl/curl.h>

#include "weir/file.h"

#define ANSWER_MAX 65536
#define SECRET_MAX 4096

struct introspector {
	const struct proxy_settings *settings;
	CURL *http;
	struct curl_slist *headers;
	struct bytes answer;
	char error[CURL_ERROR_SIZE];
};

static size_t on_octets(char *p, size_t size, size_t n, void *arg)
{
	struct bytes *answer = arg;

	return bytes_add(answer, slice_of(p, size * n)) ? size * n : 0;
}

static void restrict_protocols(CURL *http)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	(void)curl_easy_setopt(http, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	(void)curl_easy_setopt(http, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

/* Our own name and secret there, as HTTP Basic. */
static int authenticate(struct introspector *i, struct err *e)
{
	const char *path = i->settings->sasl.oauth.client_secret_file;
	struct bytes text = { .max = SECRET_MAX };
	struct slice rest;
	char *secret;

	if (i->settings->sasl.oauth.client_id[0] == '\0')
		return 0;
	(void)curl_easy_setopt(i->http, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	(void)curl_easy_setopt(i->http, CURLOPT_USERNAME, i->settings->sasl.oauth.client_id);
	if (path[0] == '\0')
		return 0;
	if (file_read(path, &text, e) < 0)
		return -1;
	rest = bytes_slice(&text);
	secret = slice_dup(slice_trim(slice_cut(&rest, '\n')));
	bytes_free(&text);
	if (secret == NULL)
		return err_set(e, "out of memory");
	(void)curl_easy_setopt(i->http, CURLOPT_PASSWORD, secret); /* copied */
	free(secret);
	return 0;
}

static void set_up(struct introspector *i)
{
	const char *ca = i->settings->sasl.oauth.ca_file;

	restrict_protocols(i->http);
	(void)curl_easy_setopt(i->http, CURLOPT_URL, i->settings->sasl.oauth.introspection_url);
	(void)curl_easy_setopt(i->http, CURLOPT_HTTPHEADER, i->headers);
	(void)curl_easy_setopt(i->http, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(i->http, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(i->http, CURLOPT_TIMEOUT, (long)i->settings->sasl.oauth.timeout_s);
	(void)curl_easy_setopt(i->http, CURLOPT_USERAGENT, "weir/" PACKAGE_VERSION);
	(void)curl_easy_setopt(i->http, CURLOPT_ERRORBUFFER, i->error);
	(void)curl_easy_setopt(i->http, CURLOPT_WRITEFUNCTION, on_octets);
	(void)curl_easy_setopt(i->http, CURLOPT_WRITEDATA, &i->answer);
	if (ca[0] != '\0')
		(void)curl_easy_setopt(i->http, CURLOPT_CAINFO, ca);
}

static void introspector_free(struct introspector *i)
{
	if (i->http != NULL)
		curl_easy_cleanup(i->http);
	curl_slist_free_all(i->headers);
	free(i);
}

struct introspector *introspector_open(const struct proxy_settings *settings, struct err *e)
{
	struct introspector *i = calloc(1, sizeof(*i));

	err_set(e, "out of memory");
	if (i == NULL)
		return NULL;
	i->settings = settings;
	i->answer.max = ANSWER_MAX;
	i->http = curl_easy_init();
	i->headers = curl_slist_append(NULL, "Accept: application/json");
	if (i->http == NULL || i->headers == NULL || authenticate(i, e) < 0) {
		introspector_free(i);
		return NULL;
	}
	set_up(i);
	return i;
}

/* The token goes through a form, where '+' would be a blank. */
static bool make_form(struct introspector *i, struct slice token, struct bytes *form)
{
	char *escaped = curl_easy_escape(i->http, token.p, (int)token.n);
	bool good = escaped != NULL &&
	    bytes_addf(form, "token=%s&token_type_hint=access_token", escaped);

	curl_free(escaped);
	return good;
}

static int ask(struct introspector *i, struct slice token, long *status, struct err *e)
{
	struct bytes form = { 0 };
	CURLcode rc = CURLE_OUT_OF_MEMORY;

	bytes_clear(&i->answer);
	if (make_form(i, token, &form)) {
		(void)curl_easy_setopt(i->http, CURLOPT_POSTFIELDSIZE, (long)form.n);
		(void)curl_easy_setopt(i->http, CURLOPT_POSTFIELDS, form.p);
		i->error[0] = '\0';
		rc = curl_easy_perform(i->http);
		(void)curl_easy_getinfo(i->http, CURLINFO_RESPONSE_CODE, status);
	}
	if (form.p != NULL)
		explicit_bzero(form.p, form.n);
	bytes_free(&form);
	if (rc == CURLE_OK)
		return 0;
	return err_set(e, "%s", i->error[0] != '\0' ? i->error : curl_easy_strerror(rc));
}

enum token introspect(
    struct introspector *i, struct slice token, int64_t now_s, struct buf *login, struct err *e)
{
	long status = 0;

	if (ask(i, token, &status, e) < 0)
		return TOKEN_TROUBLE;
	if (status != 200) {
		err_set(e, "HTTP status %ld", status);
		return TOKEN_TROUBLE;
	}
	return introspection_read(
	    bytes_slice(&i->answer), i->settings->sasl.oauth.login_claim, now_s, login, e);
}
