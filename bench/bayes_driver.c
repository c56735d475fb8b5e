/*
 * bayes_driver - learn and score as told, one line each on standard input, for bench/accuracy:
 *   ham PATH | spam PATH   learn
 *   score PATH             print "LOG_ODDS EVIDENCE PATH"
 * usage: bayes_driver STORE_FOLDER [all]      all: learn also what is judged surely already
 * Times go to standard error at the end.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "milterd/learn/bayes.h"
#include "weir/file.h"

enum { BATCH = 200, MESSAGE_MAX = 64 << 20 };

struct bench_clock {
	double seconds;
	uint64_t n;
};
struct driver {
	struct bayes *bayes;
	bool all;
	enum class class;
	struct features batch[BATCH];
	size_t n;
	struct arena arena;
	struct bench_clock parse, features, score, learn;
	uint64_t counts[4], tokens;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void clock_stop(struct bench_clock *c, double since, uint64_t n)
{
	c->seconds += now() - since;
	c->n += n;
}

static void stop(const char *what)
{
	fprintf(stderr, "bayes_driver: %s\n", what);
	exit(1);
}

static void learn_batch(struct driver *d)
{
	enum learn_result results[BATCH];
	struct err e;
	double since = now();

	if (d->n > 0 &&
	    bayes_learn_many(d->bayes, d->batch, d->n, d->class, d->all, "bench", results, &e) < 0)
		stop(e.text);
	clock_stop(&d->learn, since, d->n);
	for (size_t i = 0; i < d->n; i++)
		d->counts[results[i]]++;
	d->n = 0;
	arena_free(&d->arena);
}

static void features_read(struct driver *d, const char *path, struct message *m, struct features *f)
{
	struct bytes file = { 0 };
	struct err e;
	double since;

	if (file_read(path, &file, &e) < 0)
		stop(e.text);
	since = now();
	message_start(m, MESSAGE_MAX);
	if (!message_raw(m, bytes_slice(&file)))
		stop("out of memory");
	message_parse(m, FEATURES_TEXT_MAX);
	clock_stop(&d->parse, since, 1);
	since = now();
	if (!features_of(m, &d->arena, f))
		stop("out of memory");
	clock_stop(&d->features, since, 1);
	d->tokens += f->n;
	bytes_free(&file);
}

static void learn(struct driver *d, enum class class, const char *path)
{
	struct message m;

	if (class != d->class)
		learn_batch(d);
	d->class = class;
	features_read(d, path, &m, &d->batch[d->n]);
	d->batch[d->n].text = NULL;
	d->batch[d->n].field = NULL;
	message_free(&m);
	if (++d->n == BATCH)
		learn_batch(d);
}

/* A token, with octets that would end the line or the column made blanks. */
static void print_why(const struct bayes_why *w)
{
	printf("\t%s:", w->field);
	for (size_t i = 0; i < w->token.n && i < 60; i++)
		putchar((unsigned char)w->token.p[i] > ' ' ? w->token.p[i] : ' ');
	printf("=%.3f", w->spam);
}

static void score(struct driver *d, const char *path)
{
	struct bayes_score s;
	struct features f;
	struct message m;
	struct err e;
	double since;

	learn_batch(d);
	features_read(d, path, &m, &f);
	since = now();
	if (bayes_score(d->bayes, &f, &s, &e) < 0)
		stop(e.text);
	clock_stop(&d->score, since, 1);
	printf("%.6f %.0f %s", s.log_odds, s.evidence, path);
	for (size_t i = 0; getenv("BAYES_WHY") != NULL && i < s.why_count; i++)
		print_why(&s.why[i]);
	putchar('\n');
	message_free(&m);
	arena_free(&d->arena);
}

static void line(struct driver *d, char *text)
{
	char *path = strchr(text, ' ');

	if (path == NULL)
		stop("say ham, spam or score, and a path");
	*path++ = '\0';
	if (strcmp(text, "score") == 0)
		score(d, path);
	else
		learn(d, strcmp(text, "spam") == 0 ? CLASS_SPAM : CLASS_HAM, path);
}

static double per(const struct bench_clock *c)
{
	return c->n > 0 ? c->seconds * 1e6 / (double)c->n : 0;
}

int main(int argc, char **argv)
{
	static struct driver d;
	struct store *store;
	char spec[4096], text[4096];
	struct err e;

	if (argc < 2)
		stop("name a folder for the store");
	d.all = argc > 2;
	(void)snprintf(spec, sizeof(spec), "lmdb:%s", argv[1]);
	if ((store = store_open(spec, 4ULL << 30, 0, &e)) == NULL ||
	    (d.bayes = bayes_open(store, &e)) == NULL)
		stop(e.text);
	while (fgets(text, sizeof(text), stdin) != NULL) {
		text[strcspn(text, "\n")] = '\0';
		line(&d, text);
	}
	learn_batch(&d);
	fprintf(stderr,
	    "microseconds a message: parse %.1f, features %.1f, score %.1f, learn %.1f; "
	    "%.0f tokens; new %llu, sure %llu\n",
	    per(&d.parse), per(&d.features), per(&d.score), per(&d.learn),
	    (double)d.tokens / (double)(d.parse.n > 0 ? d.parse.n : 1),
	    (unsigned long long)d.counts[LEARN_NEW], (unsigned long long)d.counts[LEARN_SURE]);
	bayes_close(&d.bayes);
	store_close(&store);
	return 0;
}
