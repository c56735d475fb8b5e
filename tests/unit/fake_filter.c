#include "config.h"

#include "fake_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

/* What may follow what (libmilter's engine.c); A, D and Q are always taken. */
static const struct {
	char state;
	const char *next;
} order[] = {
	{ 'O', "CHMU" },
	{ 'C', "HMU" },
	{ 'H', "HMU" },
	{ 'M', "RTLNBEU" },
	{ 'R', "RTLNBEU" },
	{ 'T', "LN" },
	{ 'L', "LN" },
	{ 'N', "BE" },
	{ 'B', "BE" },
	{ 'U', "HMRTBU" },
};

struct talk {
	struct fake *fake;
	int fd;
	bool scripted;
	char state;
	int seen[128];
	uint32_t protocol;
	char *in; /* the packet's payload */
	size_t n;
};

static bool allowed(const struct talk *t, char command)
{
	/* Steps that are switched off may be left out: only the plain order is checked then. */
	if (strchr("ADQ", command) != NULL || (t->protocol & 0x27f) != 0)
		return true;
	for (size_t i = 0; i < COUNT(order); i++)
		if (order[i].state == t->state)
			return strchr(order[i].next, command) != NULL;
	return false;
}

static bool read_all(int fd, void *into, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t got = recv(fd, (char *)into + done, n - done, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		done += (size_t)got;
	}
	return true;
}

static bool write_all(int fd, const char *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t put = send(fd, p + done, n - done, MSG_NOSIGNAL);

		if (put <= 0)
			return false;
		done += (size_t)put;
	}
	return true;
}

static void put_u32(char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(v >> (24 - 8 * i));
}

static bool negotiate(struct talk *t)
{
	const struct fake_script *s = &t->fake->script;
	char packet[512];
	size_t n = 17 + s->lists_n;

	put_u32(packet, (uint32_t)(n - 4));
	packet[4] = 'O';
	put_u32(packet + 5, s->version > 0 ? s->version : 6);
	put_u32(packet + 9, s->version > 0 ? s->actions : 0x1ff);
	put_u32(packet + 13, s->protocol);
	if (s->lists_n > 0)
		memcpy(packet + 17, s->lists, s->lists_n);
	return write_all(t->fd, packet, n);
}

static void keep(struct bytes *b, const char *p, size_t n, const char *nul)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] == '\0')
			(void)bytes_add(b, slice_z(nul));
		else
			(void)bytes_addc(b, p[i] == '\n' ? '/' : p[i]);
}

static void keep_macros(struct bytes *b, const char *p, size_t n)
{
	bytes_addf(b, "%c[", p[0]);
	for (size_t i = 1, pair = 0; i < n; i++) {
		if (p[i] != '\0')
			(void)bytes_addc(b, p[i]);
		else if (pair++ % 2 == 0)
			(void)bytes_addc(b, '=');
		else if (i + 1 < n)
			(void)bytes_addc(b, ' ');
	}
	(void)bytes_add(b, SLICE("] "));
}

static void record(struct talk *t, char command)
{
	struct fake *f = t->fake;

	pthread_mutex_lock(&f->lock);
	if (command != 'D')
		bytes_addf(&f->trace, "%s%s%c", f->trace.n > 0 ? " " : "",
		    command == 'O' || allowed(t, command) ? "" : "!", command);
	if (command == 'D')
		keep_macros(&f->macros, t->in, t->n);
	else if (command == 'L') {
		keep(&f->headers, t->in, t->n - 1, "|");
		(void)bytes_addc(&f->headers, '\n');
	} else if (command == 'B') {
		bytes_addf(&f->trace, "%zu", t->n);
		(void)bytes_add(&f->body, slice_of(t->in, t->n));
	} else if (strchr("CHMRU", command) != NULL) {
		bytes_addf(&f->args, "%c", command);
		keep(&f->args, t->in, t->n, "|");
		(void)bytes_addc(&f->args, ' ');
	}
	pthread_mutex_unlock(&f->lock);
}

static const struct fake_answer *scripted(const struct talk *t, char command)
{
	const struct fake_answer *a = t->fake->script.answers;

	for (; t->scripted && a->command != 0; a++)
		if (a->command == command && (a->nth == 0 || a->nth == t->seen[(int)command]))
			return a;
	return NULL;
}

static void until_closed(struct talk *t, bool progress)
{
	struct pollfd p = { .fd = t->fd, .events = POLLRDHUP };

	while (!atomic_load(&t->fake->stop)) {
		if (progress && !write_all(t->fd, "\0\0\0\1p", 5))
			return;
		if (poll(&p, 1, progress ? 100 : 10) > 0)
			return;
	}
}

static bool act(struct talk *t, enum fake_act what)
{
	if (what == FAKE_HANG || what == FAKE_PROGRESS)
		until_closed(t, what == FAKE_PROGRESS);
	while (what == FAKE_WAIT && !atomic_load(&t->fake->release) && !atomic_load(&t->fake->stop))
		(void)poll(NULL, 0, 1);
	return what == FAKE_GO_ON || what == FAKE_WAIT;
}

/* The bit that switches off the reply to a command; bit 31 for those that never have one. */
static uint32_t silent_bit(char command)
{
	static const char commands[] = "CHMRTUNBLADQ";
	static const uint32_t bits[] = { 0x1000, 0x2000, 0x4000, 0x8000, 0x10000, 0x20000, 0x40000,
		0x80000, 0x80, 1u << 31, 1u << 31, 1u << 31 };
	const char *at = strchr(commands, command);

	return at != NULL ? bits[at - commands] : 0;
}

/* Where a verdict leaves libmilter: the message is over, save for one recipient or command. */
static void verdict_state(struct talk *t, char command, char verdict)
{
	if (command == 'E' ||
	    (strchr("artdy4", verdict) != NULL && strchr("RU", command) == NULL) || verdict == 'a')
		t->state = 'H';
}

static bool answer(struct talk *t, char command)
{
	const struct fake_answer *a = scripted(t, command);

	if (a == NULL) {
		if (command == 'O')
			return negotiate(t);
		if (((t->protocol | 1u << 31) & silent_bit(command)) != 0)
			return true;
		verdict_state(t, command, 'c');
		return write_all(t->fd, "\0\0\0\1c", 5);
	}
	if (a->act == FAKE_WAIT && !act(t, a->act))
		return false;
	/* The last packet's code, as all that are scripted as verdicts stand alone. */
	if (a->n >= 5)
		verdict_state(t, command, a->octets[4]);
	return write_all(t->fd, a->octets, a->n) && (a->act == FAKE_WAIT || act(t, a->act));
}

static bool packet(struct talk *t)
{
	unsigned char head[5];
	char command;
	bool going;

	if (!read_all(t->fd, head, 5))
		return false;
	t->n = ((size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3]) - 1;
	command = (char)head[4];
	t->in = calloc(1, t->n + 1);
	if (t->in == NULL || !read_all(t->fd, t->in, t->n)) {
		free(t->in);
		return false;
	}
	t->seen[(int)command & 127]++;
	record(t, command);
	if (command == 'A')
		t->state = 'H';
	else if (command != 'D')
		t->state = command;
	going = command != 'Q' && answer(t, command);
	free(t->in);
	return going;
}

static void *serve(void *arg)
{
	struct fake *f = arg;
	int fd;

	while ((fd = accept(f->listener, NULL, NULL)) >= 0) {
		int nth = atomic_fetch_add(&f->connections, 1) + 1;
		struct talk t = { .fake = f,
			.fd = fd,
			.protocol = f->script.protocol,
			.scripted = f->script.times == 0 || nth <= f->script.times };

		while (packet(&t))
			;
		close(fd);
		atomic_fetch_add(&f->closed, 1);
	}
	return NULL;
}

void fake_start(struct fake *f, const struct fake_script *script, bool tcp)
{
	struct err e;

	*f = (struct fake){ .script = *script };
	(void)snprintf(f->folder, sizeof(f->folder), "/tmp/weir-fake.XXXXXX");
	if (mkdtemp(f->folder) == NULL)
		abort();
	f->where.local = !tcp;
	(void)snprintf(f->where.path, sizeof(f->where.path), "%s/s", f->folder);
	(void)snprintf(f->where.host, sizeof(f->where.host), "127.0.0.1");
	if ((f->listener = endpoint_listen(&f->where, 16, 0600, false, &e)) < 0)
		abort();
	(void)fcntl(f->listener, F_SETFL, fcntl(f->listener, F_GETFL) & ~O_NONBLOCK);
	if (tcp)
		f->where.port = socket_port(f->listener);
	(void)pthread_mutex_init(&f->lock, NULL);
	if (pthread_create(&f->thread, NULL, serve, f) != 0)
		abort();
}

void fake_stop(struct fake *f)
{
	atomic_store(&f->stop, true);
	(void)shutdown(f->listener, SHUT_RDWR);
	(void)pthread_join(f->thread, NULL);
	close(f->listener);
	(void)unlink(f->where.path);
	(void)rmdir(f->folder);
	bytes_free(&f->trace);
	bytes_free(&f->macros);
	bytes_free(&f->headers);
	bytes_free(&f->args);
	bytes_free(&f->body);
	(void)pthread_mutex_destroy(&f->lock);
}

char *fake_take(struct fake *f, struct bytes *what)
{
	char *text;

	pthread_mutex_lock(&f->lock);
	text = slice_dup(bytes_slice(what));
	bytes_clear(what);
	pthread_mutex_unlock(&f->lock);
	return text;
}
