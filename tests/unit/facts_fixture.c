#include "config.h"

#include "facts_fixture.h"

/* clang-format off */
static const struct fact_row client_rows[] = {
	{ "client.address", FACT_ADDRESS, STAGE_CONNECT, "The client's address.", "\"192.0.2.7\"" },
	{ "client.name", FACT_STRING, STAGE_CONNECT, "Its verified reverse name.", "\"mx.example.org\"" },
};
static const struct fact_row envelope_rows[] = {
	{ "helo.name", FACT_STRING, STAGE_HELO, "The name in HELO.", "\"mx.example.org\"" },
	{ "mail.address", FACT_STRING, STAGE_MAIL, "The reverse-path.", "\"a@example.org\"" },
	{ "mail.null", FACT_BOOL, STAGE_MAIL, "Is it <>?", "false" },
	{ "spf.result", FACT_STRING, STAGE_MAIL, "What SPF says.", "\"fail\"" },
	{ "rcpt.address", FACT_STRINGS, STAGE_RCPT, "Recipients.", "[\"b@example.net\"]" },
	{ "rcpt.count", FACT_NUMBER, STAGE_RCPT, "How many.", "1" },
};
static const struct fact_row content_rows[] = {
	{ "header.*", FACT_STRINGS, STAGE_HEADER, "Values of a field.", "[\"Hello\"]" },
	{ "header.*.addr", FACT_STRINGS, STAGE_HEADER, "Addresses in it.", "[\"a@example.org\"]" },
	{ "header.*.count", FACT_NUMBER, STAGE_HEADER, "How many fields.", "1" },
	{ "message.size", FACT_NUMBER, STAGE_EOM, "Octets.", "1024" },
	{ "body.text", FACT_STRING, STAGE_EOM, "The text.", "\"Hello\"" },
	{ "urls", FACT_OBJECTS, STAGE_EOM, "URLs.", NULL },
	{ "urls[].url", FACT_STRING, STAGE_EOM, "The URL.", "\"http://a.example/\"" },
	{ "urls[].host", FACT_STRING, STAGE_EOM, "Its host.", "\"a.example\"" },
	{ "attachments", FACT_OBJECTS, STAGE_EOM, "Attachments.", NULL },
	{ "attachments[].name", FACT_STRING, STAGE_EOM, "File name.", "\"a.pdf\"" },
	{ "attachments[].extension", FACT_STRING, STAGE_EOM, "Extension.", "\"pdf\"" },
	{ "attachments[].size", FACT_NUMBER, STAGE_EOM, "Octets.", "100" },
};
static const struct fact_row virus_rows[] = {
	{ "virus.found", FACT_BOOL, STAGE_EOM, "Was something found?", "true" },
	{ "virus.name", FACT_STRING, STAGE_EOM, "Its name.", "\"Eicar | test\"" },
};
static const struct fact_row bayes_rows[] = {
	{ "bayes.spam", FACT_NUMBER, STAGE_EOM, "Probability.", "0.99" },
};
/* clang-format on */

static const struct provider client = {
	.name = "client", .rows = client_rows, .n = COUNT(client_rows)
};
static const struct provider envelope = {
	.name = "envelope", .rows = envelope_rows, .n = COUNT(envelope_rows)
};
static const struct provider content = {
	.name = "content", .rows = content_rows, .n = COUNT(content_rows)
};
static const struct provider virus = {
	.name = "virus", .rows = virus_rows, .n = COUNT(virus_rows), .costly = true
};
static const struct provider bayes = {
	.name = "bayes", .rows = bayes_rows, .n = COUNT(bayes_rows)
};

const struct provider *const providers[] = { &client, &envelope, &content, &virus, &bayes, NULL };

static struct value list_of(struct arena *a, const json_t *list)
{
	size_t n = json_array_size(list);
	struct value *v = arena_take(a, (n + 1) * sizeof(*v));

	for (size_t i = 0; i < n; i++)
		v[i] = fixture_value(a, json_array_get(list, i), FACT_STRING);
	return (struct value){ .kind = VALUE_LIST, .list = { v, n } };
}

static struct value object_of(struct arena *a, const json_t *object)
{
	struct member *m = arena_take(a, (json_object_size(object) + 1) * sizeof(*m));
	size_t n = 0;
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)object, name, v)
	    m[n++] = (struct member){ name, fixture_value(a, v, FACT_STRING) };
	return (struct value){ .kind = VALUE_OBJECT, .object = { m, n } };
}

struct value fixture_value(struct arena *a, const json_t *v, enum fact_type type)
{
	struct address address;

	if (json_is_array(v))
		return list_of(a, v);
	if (json_is_object(v))
		return object_of(a, v);
	if (json_is_number(v))
		return value_number(json_number_value(v));
	if (json_is_boolean(v))
		return value_bool(json_is_true(v));
	if (type == FACT_ADDRESS && json_is_string(v) &&
	    address_parse(slice_z(json_string_value(v)), &address, NULL) == 0)
		return value_address(address);
	if (json_is_string(v))
		return value_string(slice_of(json_string_value(v), json_string_length(v)));
	return value_unknown;
}

static struct value get(void *arg, const struct fact_ref *ref, size_t index)
{
	struct facts_fixture *x = arg;

	(void)index;
	x->asked++;
	return fixture_value(&x->arena, json_object_get(x->facts, ref->name), ref->type);
}

struct fact_source fixture_source(struct facts_fixture *x)
{
	return (struct fact_source){ get, x };
}
