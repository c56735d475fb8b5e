#include "config.h"

#include <jansson.h>

#include "introspect.h"

/* RFC 7662 2.2: "active" decides; "exp" is looked at too, for the sake of endpoints that answer
 * from a cache. */
static enum token read_object(
    json_t *root, const char *claim, int64_t now_s, struct buf *login, struct err *e)
{
	json_t *active = json_object_get(root, "active"), *expires = json_object_get(root, "exp");
	json_t *name = json_object_get(root, claim);

	if (!json_is_boolean(active)) {
		err_set(e, "the answer has no \"active\"");
		return TOKEN_TROUBLE;
	}
	if (!json_is_true(active) ||
	    (json_is_number(expires) && json_number_value(expires) <= (double)now_s))
		return TOKEN_BAD;
	if (!json_is_string(name) || json_string_length(name) == 0) {
		err_set(e, "the answer has no \"%s\": see sasl/oauth/login_claim", claim);
		return TOKEN_TROUBLE;
	}
	buf_add(login, slice_of(json_string_value(name), json_string_length(name)));
	if (login->cut || memchr(login->p, '\0', login->n) != NULL) {
		err_set(e, "\"%s\" is no login", claim);
		return TOKEN_TROUBLE;
	}
	return TOKEN_GOOD;
}

enum token introspection_read(
    struct slice json, const char *claim, int64_t now_s, struct buf *login, struct err *e)
{
	json_t *root = json_loadb(json.p != NULL ? json.p : "", json.n, JSON_ALLOW_NUL, NULL);
	enum token result = TOKEN_TROUBLE;

	if (json_is_object(root))
		result = read_object(root, claim, now_s, login, e);
	else
		err_set(e, "the answer is no JSON object");
	json_decref(root);
	return result;
}
