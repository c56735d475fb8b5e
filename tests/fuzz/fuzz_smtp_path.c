#include "config.h"

#include <stdlib.h>

#include "weir/smtp_syntax.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void must(bool good)
{
	if (!good)
		abort();
}

/* What was taken for an address is one again, without brackets, and holds nothing that could begin
 * another command or parameter. */
static void address_again(const struct smtp_path *path, enum smtp_path_kind kind)
{
	struct smtp_path again;

	must(path->address.n + 2 <= SMTP_PATH_MAX);
	must(smtp_address_parse(path->address, kind, &again, NULL) == 0);
	must(slice_eq(again.address, path->address) && slice_eq(again.local, path->local) &&
	    slice_eq(again.domain, path->domain) && again.utf8 == path->utf8);
	for (size_t i = 0; i < path->address.n; i++)
		must((unsigned char)path->address.p[i] >= ' ');
	must(path->domain.n == 0 || smtp_domain_valid(path->domain));
	must(path->domain.n == 0 || path->local.n + 1 + path->domain.n == path->address.n);
}

static void parameters(struct slice rest)
{
	struct smtp_parameter v[SMTP_PARAMETERS_MAX];
	char store[200] = "", store_again[700] = "";
	struct err e;
	size_t n;

	if (smtp_parameters_parse(rest, v, &n, &e) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct buf text = BUF_ON(store), again = BUF_ON(store_again);

		if (v[i].value.p == NULL || smtp_xtext_decode(v[i].value, &text, &e) < 0)
			continue;
		must(slice_find(buf_slice(&text), '\0') == text.n);
		smtp_xtext_encode(buf_slice(&text), &again);
		must(!again.cut);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice argument = slice_of(p, n), rest;
	struct smtp_path path;
	struct err e;

	for (int kind = SMTP_REVERSE_PATH; kind <= SMTP_FORWARD_PATH; kind++) {
		if (smtp_path_parse(argument, (enum smtp_path_kind)kind, &path, &rest, &e) == 0) {
			address_again(&path, (enum smtp_path_kind)kind);
			parameters(rest);
		}
		if (smtp_address_parse(argument, (enum smtp_path_kind)kind, &path, &e) == 0)
			address_again(&path, (enum smtp_path_kind)kind);
	}
	(void)smtp_helo_valid(argument);
	parameters(argument);
	return 0;
}
