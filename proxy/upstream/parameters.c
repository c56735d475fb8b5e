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

		if (may_send(one, extensions)) {
			(void)bytes_addc(out, ' ');
			(void)bytes_add(out, one);
		}
	}
}

unsigned parameters_need(const char *parameters)
{
	unsigned need = 0;

	if (parameters_have(parameters, SLICE("BODY=8BITMIME")))
		need |= EXTENSION_8BITMIME;
	if (parameters_have(parameters, SLICE("SMTPUTF8")))
		need |= EXTENSION_SMTPUTF8;
	if (parameters_have(parameters, SLICE("REQUIRETLS")))
		need |= EXTENSION_REQUIRETLS;
	return need;
}

bool parameters_have(const char *parameters, struct slice wanted)
{
	struct slice rest = slice_z(parameters);

	while (rest.n > 0)
		if (slice_ieq(slice_cut(&rest, ' '), wanted))
			return true;
	return false;
}
