/* SPDX-License-Identifier: GPL-2.0-only */
#include "config.h"

#include "milterd/scanner/engine.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <clamav.h>

#define LIMIT_ALERT "Heuristics.Limits.Exceeded."

/* An unpacker that trims its output writes in blocks, so what it wrote ends this near to the limit.
 */
enum { TRIM_BLOCK = 16384 };

struct engine {
	struct cl_engine *cl;
	uint64_t file_bytes;
	uint64_t trimmed_bytes; /* a file inside a message that is so large may have been trimmed */
};

struct scan {
	const struct engine *engine;
	bool trimmed;
};

/* The program's one mutable global: libclamav hands its messages to a function without context.
 * What it complains of while it loads names the line, then the file. */
static char complaints[SCANNER_TEXT_MAX / 2];

static void on_message(enum cl_msg severity, const char *full, const char *text, void *context)
{
	const size_t n = strcspn(text, "\r\n"), at = strlen(complaints);

	(void)full;
	(void)context;
	if (severity == CL_MSG_ERROR)
		(void)snprintf(complaints + at, sizeof(complaints) - at, "%s%.*s",
		    at > 0 ? "; " : "", (int)n, text);
}

/* libclamav says when it passes over a file, but its zip unpacker cuts one at the limit without a
 * word, and what lies behind would read as clean. */
static cl_error_t on_file(int fd, const char *type, void *context)
{
	struct scan *scan = context;
	struct stat st;

	(void)type;
	if (scan != NULL && fstat(fd, &st) == 0 &&
	    (uint64_t)st.st_size >= scan->engine->trimmed_bytes)
		scan->trimmed = true;
	return CL_CLEAN;
}

static struct cl_engine *refuse(
    struct cl_engine *cl, char *why, size_t size, const char *database, const char *text)
{
	(void)snprintf(why, size, "signature database %s: %s%s%s", database, text,
	    complaints[0] != '\0' ? ": " : "", complaints);
	if (cl != NULL)
		cl_engine_free(cl);
	return NULL;
}

/* Before cl_load and cl_engine_compile: some of them shape what is compiled. */
static cl_error_t set_limits(struct cl_engine *cl, const struct engine_limits *l)
{
	const struct {
		enum cl_engine_field field;
		uint64_t value;
	} numbers[] = {
		{ CL_ENGINE_MAX_SCANTIME, l->time_ms },
		{ CL_ENGINE_MAX_SCANSIZE, l->scan_bytes },
		{ CL_ENGINE_MAX_FILESIZE, l->file_bytes },
		{ CL_ENGINE_MAX_RECURSION, l->recursion },
		{ CL_ENGINE_MAX_FILES, l->files },
		/* Bytecode programs are code from the database: only those that ClamAV signed run,
		 * in the interpreter, so that no worker needs memory that is writable and
		 * executable. */
		{ CL_ENGINE_BYTECODE_SECURITY, CL_BYTECODE_TRUST_SIGNED },
		{ CL_ENGINE_BYTECODE_MODE, CL_BYTECODE_MODE_INTERPRETER },
		{ CL_ENGINE_BYTECODE_TIMEOUT, l->time_ms < 10000 ? l->time_ms : 10000 },
		/* The cache of clean files is written to by every worker, and a verdict shall
		 * depend on the message alone. */
		{ CL_ENGINE_DISABLE_CACHE, 1 },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		cl_error_t rc = cl_engine_set_num(
		    cl, numbers[i].field, (long long)numbers[i].value);

		if (rc != CL_SUCCESS)
			return rc;
	}
	return cl_engine_set_str(cl, CL_ENGINE_TMPDIR, ".");
}

static struct cl_engine *load(const char *database, const struct engine_limits *limits, char *why,
    size_t size, unsigned *signatures)
{
	struct cl_engine *cl = NULL;
	cl_error_t rc;

	*signatures = 0;
	cl_set_clcb_msg(on_message);
	if ((rc = cl_init(CL_INIT_DEFAULT)) != CL_SUCCESS || (cl = cl_engine_new()) == NULL)
		return refuse(
		    NULL, why, size, database, cl_strerror(rc != CL_SUCCESS ? rc : CL_EMEM));
	if ((rc = set_limits(cl, limits)) != CL_SUCCESS ||
	    (rc = cl_load(database, cl, signatures, CL_DB_STDOPT)) != CL_SUCCESS)
		return refuse(cl, why, size, database, cl_strerror(rc));
	if (*signatures == 0)
		return refuse(cl, why, size, database, "holds no signature");
	if ((rc = cl_engine_compile(cl)) != CL_SUCCESS)
		return refuse(cl, why, size, database, cl_strerror(rc));
	cl_engine_set_clcb_pre_scan(cl, on_file);
	return cl;
}

struct engine *engine_load(const char *database, const struct engine_limits *limits, char *why,
    size_t why_size, unsigned *signatures)
{
	struct engine *g = calloc(1, sizeof(*g));

	if (g == NULL) {
		(void)snprintf(why, why_size, "out of memory");
		return NULL;
	}
	g->file_bytes = limits->file_bytes;
	g->trimmed_bytes = g->file_bytes -
	    (g->file_bytes > (uint64_t)2 * TRIM_BLOCK ? TRIM_BLOCK : g->file_bytes / 2);
	g->cl = load(database, limits, why, why_size, signatures);
	if (g->cl == NULL) {
		free(g);
		return NULL;
	}
	return g;
}

static void answer_set(struct scanner_answer *a, enum scanner_status status, uint32_t code,
    const char *prefix, const char *text)
{
	a->status = status;
	a->code = code;
	(void)snprintf(a->name, sizeof(a->name), "%s%s", prefix, text);
	/* The name stands in a signature file; the daemon takes nothing but printable ASCII. */
	for (char *c = a->name; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static void answer_virus(struct scanner_answer *a, const char *name)
{
	const size_t n = sizeof(LIMIT_ALERT) - 1;

	if (name == NULL || name[0] == '\0')
		answer_set(a, SCANNER_VIRUS, CL_VIRUS, "unnamed", "");
	else if (strcmp(name, LIMIT_ALERT "MaxScanTime") == 0)
		answer_set(a, SCANNER_ERROR, CL_VIRUS, "timeout", "");
	else if (strncmp(name, LIMIT_ALERT, n) == 0)
		answer_set(a, SCANNER_ERROR, CL_VIRUS, "limit: ", name + n);
	else
		answer_set(a, SCANNER_VIRUS, CL_VIRUS, "", name);
}

void engine_scan(struct engine *g, int fd, uint64_t size, struct scanner_answer *answer)
{
	struct cl_scan_options options = {
		.general = CL_SCAN_GENERAL_HEURISTICS,
		.parse = ~0u,
		.heuristic = CL_SCAN_HEURISTIC_EXCEEDS_MAX,
	};
	struct scan scan = { .engine = g };
	const char *name = NULL;
	unsigned long scanned = 0;
	cl_error_t rc;

	/* libclamav passes over the whole of a file that is too large; say so before it may. */
	if (size > g->file_bytes) {
		answer_set(answer, SCANNER_ERROR, CL_EMAXSIZE, "limit: ", "MaxFileSize");
		return;
	}
	rc = cl_scandesc_callback(fd, NULL, &name, &scanned, g->cl, &options, &scan);
	if (rc == CL_VIRUS)
		answer_virus(answer, name);
	else if (rc == CL_CLEAN && scan.trimmed)
		answer_set(answer, SCANNER_ERROR, CL_EMAXSIZE, "limit: ", "MaxFileSize");
	else if (rc == CL_CLEAN)
		answer_set(answer, SCANNER_CLEAN, 0, "", "");
	else if (rc == CL_ETIMEOUT)
		answer_set(answer, SCANNER_ERROR, (uint32_t)rc, "timeout", "");
	else
		answer_set(answer, SCANNER_ERROR, (uint32_t)rc, "libclamav: ", cl_strerror(rc));
}
