#include "config.h"

#include "milterd/rules/loader.h"

/* A copy without comments; jansson's parser bounds the depth. */
static json_t *copy_plain(const json_t *v);

static json_t *copy_array(const json_t *from)
{
	json_t *to = json_array(), *v;
	size_t i;

	json_array_foreach(from, i, v)
	{
		if (to == NULL || json_array_append_new(to, copy_plain(v)) < 0) {
			json_decref(to);
			return NULL;
		}
	}
	return to;
}

static json_t *copy_object(const json_t *from)
{
	json_t *to = json_object(), *v;
	const char *key;

	json_object_foreach((json_t *)from, key, v)
	{
		if (json_comment(key))
			continue;
		if (to == NULL || json_object_set_new_nocheck(to, key, copy_plain(v)) < 0) {
			json_decref(to);
			return NULL;
		}
	}
	return to;
}

static json_t *copy_plain(const json_t *v)
{
	if (json_is_array(v))
		return copy_array(v);
	if (json_is_object(v))
		return copy_object(v);
	return json_deep_copy(v);
}

/* RFC 7396 section 2, word for word but for the comments. */
bool merge_patch(json_t **target, const json_t *patch)
{
	const char *key;
	json_t *v;

	if (!json_is_object(patch)) {
		json_decref(*target);
		return (*target = copy_plain(patch)) != NULL;
	}
	if (!json_is_object(*target)) {
		json_decref(*target);
		if ((*target = json_object()) == NULL)
			return false;
	}
	json_object_foreach((json_t *)patch, key, v)
	{
		json_t *member;
		bool merged;

		if (json_comment(key))
			continue;
		if (json_is_null(v)) {
			(void)json_object_del(*target, key);
			continue;
		}
		member = json_incref(json_object_get(*target, key));
		merged = merge_patch(&member, v);
		if (!merged || json_object_set_new_nocheck(*target, key, member) < 0)
			return false;
	}
	return true;
}
