#include "config.h"

#include "parameters.h"

#include "upstream.h"

static const struct {
	struct slice keyword;
	enum extension needs;
} needs[] = {
	{ SLICE("SIZE"), EXTENSION_SIZE },
	{ SLICE("BODY"), EXTENSION_8BITMIME },
	{ SLICE("SMTPUTF8"), EXTENSION_SMTPUTF8 },
	{ SLICE("RET"), EXTENSION_DSN },
	{ SLICE("ENVID"), EXTENSION_DSN },
	{ SLICE("NOTIFY"), EXTENSION_DSN },
	{ SLICE("ORCPT"), EXTENSION_DSN },
	{ SLICE("REQUIRETLS"), EXTENSION_REQUIRETLS },
	{ SLICE("AUTH"), EXTENSION_AUTH },
	{ SLICE("MT-PRIORITY"), EXTENSION_MT_PRIORITY },
};

static bool may_send(struct slice parameter, unsigned extensions)
{
	struct slice keyword = slice_cut(&parameter, '=');

	for (size_t i = 0; i < COUNT(needs); i++)
		if (slice_ieq(keyword, needs[i].keyword))
			return (extensions & needs[i].needs) != 0;
	return false;
}

void parameters_write(const char *parameters, unsigned extensions, struct bytes *out)
{
	struct slice rest = slice_z(parameters);

	while (rest.n > 0) {
		struct slice one = slice_cut(&rest, ' ');

		if (!may_send(one, extensions))
			continue;
		/* RFC 4954 5: who is not trusted with the identity is told that there is none
		 * (W110). */
		if (slice_istarts(one, SLICE("AUTH=")) && !(extensions & EXTENSION_AUTH_TRUST))
			one = SLICE("AUTH=<>");
		(void)bytes_addc(out, ' ');
		(void)bytes_add(out, one);
	}
}

/* Is `wanted` ("SMTPUTF8", "BODY=8BITMIME") among them? */
static bool have(const char *parameters, struct slice wanted)
{
	struct slice rest = slice_z(parameters);

	while (rest.n > 0)
		if (slice_ieq(slice_cut(&rest, ' '), wanted))
			return true;
	return false;
}

unsigned parameters_need(const char *parameters)
{
	static const struct {
		struct slice parameter;
		enum extension extension;
	} table[] = {
		{ SLICE("BODY=8BITMIME"), EXTENSION_8BITMIME },
		{ SLICE("SMTPUTF8"), EXTENSION_SMTPUTF8 },
		{ SLICE("REQUIRETLS"), EXTENSION_REQUIRETLS },
	};
	unsigned need = 0;

	for (size_t i = 0; i < COUNT(table) && *parameters != '\0'; i++)
		if (have(parameters, table[i].parameter))
			need |= table[i].extension;
	return need;
}

struct slice parameters_value(const char *parameters, struct slice keyword)
{
	struct slice rest = slice_z(parameters);

	while (rest.n > 0) {
		struct slice value = slice_cut(&rest, ' '), name = slice_cut(&value, '=');

		if (slice_ieq(name, keyword))
			return value;
	}
	return (struct slice){ 0 };
}
