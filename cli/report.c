#include "config.h"

#include "report.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN_MAX = 120, INDENT_MAX = 60 };

/* Octets that a terminal would act on are shown as \xHH, long texts are cut. UTF-8 stays: jansson
 * lets nothing else in; C1 controls (U+0080..U+009F) do not. */
static void print_text(const char *s, FILE *to)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n && i < SHOWN_MAX; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == 0xc2 && (unsigned char)s[i + 1] < 0xa0)
			fprintf(to, "\\u00%02x", (unsigned char)s[++i]);
		else if (c < 0x20 || c == 0x7f)
			fprintf(to, "\\x%02x", c);
		else
			fputc(c, to);
	}
	if (n > SHOWN_MAX)
		fputs("...", to);
}

static const char *text_of(json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s != NULL ? s : "";
}

static void print_value(json_t *v, FILE *to)
{
	if (json_is_string(v)) {
		fputc('"', to);
		print_text(json_string_value(v), to);
		fputc('"', to);
	} else {
		char *s = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));

		print_text(s != NULL ? s : "?", to);
		free(s);
	}
}

void report_tree(json_t *value, int indent, FILE *to)
{
	const char *key;
	json_t *v;
	size_t i;

	if (indent > INDENT_MAX)
		return;
	json_object_foreach(value, key, v)
	{
		bool nested = json_is_object(v) || json_is_array(v);

		fprintf(to, "%*s", indent, "");
		print_text(key, to);
		fputs(nested ? "\n" : "  ", to);
		if (nested) {
			report_tree(v, indent + 2, to);
		} else {
			print_value(v, to);
			fputc('\n', to);
		}
	}
	json_array_foreach(value, i, v)
	{
		fprintf(to, "%*s- ", indent, "");
		if (json_is_object(v) || json_is_array(v)) {
			fputc('\n', to);
			report_tree(v, indent + 2, to);
		} else {
			print_value(v, to);
			fputc('\n', to);
		}
	}
}

static void print_node(json_t *node, int indent, FILE *to);

static void print_children(json_t *node, const char *key, int indent, FILE *to)
{
	json_t *list = json_object_get(node, key), *child;
	size_t i;

	json_array_foreach(list, i, child) print_node(child, indent + 2, to);
	if (json_is_object(list))
		print_node(list, indent + 2, to);
}

/* One condition of an explanation: its truth, what it looks at, what it found there. */
static void print_node(json_t *node, int indent, FILE *to)
{
	static const char *const parts[] = { "all", "any", "of", "not", "elements" };
	static const char *const words[] = { "fact", "rule", "group" };

	if (indent > INDENT_MAX)
		return;
	fprintf(to, "%*s%-7s ", indent, "", text_of(node, "is"));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (json_object_get(node, words[i]) != NULL) {
			fprintf(to, "%s%s", i > 0 ? words[i] : "", i > 0 ? " " : "");
			print_text(text_of(node, words[i]), to);
		}
	if (json_object_get(node, "test") != NULL) {
		fputc(' ', to);
		print_value(json_object_get(node, "test"), to);
	}
	if (json_object_get(node, "value") != NULL) {
		fputs("  is ", to);
		print_value(json_object_get(node, "value"), to);
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (json_object_get(node, parts[i]) != NULL) {
			fprintf(to, "%s\n", strcmp(parts[i], "elements") == 0 ? "" : parts[i]);
			print_children(node, parts[i], indent, to);
			return;
		}
	fputc('\n', to);
}

static void print_because(json_t *symbol, FILE *to)
{
	json_t *because = json_object_get(symbol, "because"), *one;
	size_t i;

	fprintf(to, "%10s%s:%lld\n", "", text_of(symbol, "file"),
	    (long long)json_integer_value(json_object_get(symbol, "line")));
	if (json_object_get(symbol, "explanation") != NULL)
		print_node(json_object_get(json_object_get(symbol, "explanation"), "when"), 12, to);
	json_array_foreach(because, i, one)
	{
		fprintf(to, "%12s%s = ", "", text_of(one, "fact"));
		print_value(json_object_get(one, "value"), to);
		if (json_object_get(one, "matched") != NULL) {
			fputs("  matched ", to);
			print_value(json_object_get(one, "matched"), to);
		}
		fputc('\n', to);
	}
}

static void print_symbols(json_t *verdict, bool explain, FILE *to)
{
	json_t *symbols = json_object_get(verdict, "symbols"), *s;
	size_t i;

	json_array_foreach(symbols, i, s)
	{
		bool shadow = json_is_true(json_object_get(s, "shadow"));

		fprintf(to, "  %7.2f  %-24s %s%s\n", json_number_value(json_object_get(s, "score")),
		    text_of(s, "name"), shadow ? "(shadow, counts nothing) " : "",
		    text_of(s, "about"));
		if (explain)
			print_because(s, to);
	}
	if (json_array_size(symbols) == 0)
		fputs("  no rule fired\n", to);
}

static void print_thresholds(json_t *verdict, FILE *to)
{
	json_t *thresholds = json_object_get(verdict, "thresholds"), *at;
	const char *name, *separator = "";

	fprintf(to, "score %.2f (", json_number_value(json_object_get(verdict, "score")));
	json_object_foreach(thresholds, name, at)
	{
		fprintf(to, "%s%s at %g", separator, name, json_number_value(at));
		separator = ", ";
	}
	fprintf(to, "), policy %s\n", text_of(verdict, "policy"));
}

void report_verdict(json_t *verdict, bool explain, FILE *to)
{
	fputs(text_of(verdict, "action"), to);
	if (json_is_string(json_object_get(verdict, "reply"))) {
		fputs(": ", to);
		print_text(text_of(verdict, "reply"), to);
	}
	if (json_is_string(json_object_get(verdict, "error")))
		fprintf(to, ": %s", text_of(verdict, "error"));
	fprintf(to, "\ndecided at %s", text_of(verdict, "stage"));
	if (json_is_string(json_object_get(verdict, "decided_by")))
		fprintf(to, " by %s", text_of(verdict, "decided_by"));
	fputs("; ", to);
	print_thresholds(verdict, to);
	print_symbols(verdict, explain, to);
}
