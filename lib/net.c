#include "config.h"

#include "weir/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

static struct address address_v6(const uint8_t octets[16])
{
	struct address a = { .family = AF_INET6 };

	if (memcmp(octets, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		a.family = AF_INET;
		memcpy(a.octets, octets + 12, 4);
	} else {
		memcpy(a.octets, octets, 16);
	}
	return a;
}

int address_parse(struct slice text, struct address *out, struct err *e)
{
	char z[ADDRESS_TEXT_MAX];
	struct buf b = BUF_ON(z);
	uint8_t octets[16];

	z[0] = '\0';
	buf_add(&b, text);
	if (!b.cut && strlen(z) == text.n) {
		if (inet_pton(AF_INET, z, octets) == 1) {
			*out = (struct address){ .family = AF_INET };
			memcpy(out->octets, octets, 4);
			return 0;
		}
		if (inet_pton(AF_INET6, z, octets) == 1) {
			*out = address_v6(octets);
			return 0;
		}
	}
	return err_set(e, "\"%.*s\" is no IPv4 or IPv6 address", SLICE_ARG(slice_sub(text, 0, 80)));
}

struct address address_of(const struct sockaddr *sa)
{
	struct address a = { .family = AF_UNSPEC };

	if (sa == NULL)
		return a;
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		a.family = AF_INET;
		memcpy(a.octets, &in.sin_addr, 4);
		a.port = ntohs(in.sin_port);
	} else if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		a = address_v6(in6.sin6_addr.s6_addr);
		a.port = ntohs(in6.sin6_port);
	} else if (sa->sa_family == AF_UNIX) {
		a.family = AF_UNIX;
	}
	return a;
}

socklen_t address_sockaddr(const struct address *a, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (a->family == AF_INET) {
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(a->port) };

		memcpy(&in.sin_addr, a->octets, 4);
		memcpy(ss, &in, sizeof(in));
		return sizeof(in);
	}
	if (a->family == AF_INET6) {
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(a->port) };

		memcpy(&in6.sin6_addr, a->octets, 16);
		memcpy(ss, &in6, sizeof(in6));
		return sizeof(in6);
	}
	return 0;
}

char *address_text(const struct address *a, char into[ADDRESS_TEXT_MAX])
{
	struct buf b = { .p = into, .cap = ADDRESS_TEXT_MAX };

	if (a->family == AF_INET6)
		return inet_ntop(AF_INET6, a->octets, into, ADDRESS_TEXT_MAX) != NULL ? into : NULL;
	if (a->family == AF_INET) {
		for (int i = 0; i < 4; i++) {
			buf_addu(&b, a->octets[i], 1);
			if (i < 3)
				buf_addc(&b, '.');
		}
		return into;
	}
	(void)snprintf(into, ADDRESS_TEXT_MAX, "%s", a->family == AF_UNIX ? "local" : "unknown");
	return into;
}

static unsigned address_bits(const struct address *a)
{
	return a->family == AF_INET ? 32 : a->family == AF_INET6 ? 128 : 0;
}

bool address_eq(const struct address *a, const struct address *b)
{
	return a->family == b->family && memcmp(a->octets, b->octets, address_bits(a) / 8) == 0;
}

/* Do the first `bits` bits agree? */
static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	return memcmp(a, b, whole) == 0 &&
	    (rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0);
}

int network_parse(struct slice text, struct network *out, struct err *e)
{
	struct slice rest = text, head = slice_cut(&rest, '/');
	struct network n = { .prefix = 0 };
	uint8_t masked[16] = { 0 };
	unsigned bits, mapped;
	uint64_t prefix;

	if (address_parse(head, &n.base, e) < 0)
		return -1;
	bits = address_bits(&n.base);
	/* "::ffff:192.0.2.0/120" is 192.0.2.0/24. */
	mapped = n.base.family == AF_INET && slice_find(head, ':') < head.n ? 96 : 0;
	prefix = bits + mapped;
	if (head.n < text.n && (slice_number(rest, bits + mapped, &prefix) < 0 || prefix < mapped))
		return err_set(e, "\"%.*s\": the prefix length must be %u..%u",
		    SLICE_ARG(slice_sub(text, 0, 80)), mapped, bits + mapped);
	n.prefix = (unsigned)prefix - mapped;
	for (unsigned i = 0; i < 16; i++) {
		unsigned kept = n.prefix > i * 8 ? n.prefix - i * 8 : 0;

		masked[i] = (uint8_t)(kept >= 8 ? n.base.octets[i]
						: n.base.octets[i] & ~(0xffu >> kept));
	}
	if (memcmp(masked, n.base.octets, 16) != 0)
		return err_set(e, "\"%.*s\" has bits set behind its prefix",
		    SLICE_ARG(slice_sub(text, 0, 80)));
	*out = n;
	return 0;
}

bool network_has(const struct network *n, const struct address *a)
{
	return n->base.family == a->family && same_prefix(n->base.octets, a->octets, n->prefix);
}

static int parse_local(struct slice path, struct endpoint *out, struct err *e)
{
	struct endpoint ep = { .local = true };
	struct buf b = BUF_ON(ep.path);

	buf_add(&b, path);
	if (b.cut || b.n == 0 || strlen(ep.path) != b.n)
		return err_set(e, "a socket path has 1..%zu octets", sizeof(ep.path) - 1);
	*out = ep;
	return 0;
}

/* Take the host off *s: "[v6]", or everything before the last colon. */
static int take_host(struct slice *s, struct slice *host)
{
	size_t colon;

	if (slice_starts(*s, SLICE("["))) {
		size_t end = slice_find(*s, ']');

		*host = slice_sub(*s, 1, end - 1);
		*s = slice_sub(*s, end + 1, s->n);
		if (s->n == 0 || s->p[0] != ':')
			return -1;
		*s = slice_sub(*s, 1, s->n);
		return 0;
	}
	for (colon = s->n; colon > 0 && s->p[colon - 1] != ':'; colon--)
		;
	if (colon == 0)
		return -1;
	*host = slice_sub(*s, 0, colon - 1);
	*s = slice_sub(*s, colon, s->n);
	return slice_find(*host, ':') < host->n ? -1 : 0;
}

int endpoint_parse(struct slice text, struct endpoint *out, struct err *e)
{
	struct endpoint ep = { .local = false };
	struct slice rest = text, host;
	uint64_t port;

	if (text.p == NULL)
		return err_set(e, "an endpoint is unix:PATH, HOST:PORT or [v6]:PORT, not nothing");
	if (slice_starts(text, SLICE("unix:")))
		return parse_local(slice_sub(text, 5, text.n), out, e);
	if (slice_starts(text, SLICE("inet:")))
		rest = slice_sub(text, 5, text.n);
	if (take_host(&rest, &host) < 0 || host.n == 0 || host.n >= sizeof(ep.host) ||
	    slice_find(host, '\0') < host.n || slice_number(rest, 65535, &port) < 0)
		return err_set(e,
		    "\"%.*s\" is no endpoint: write unix:PATH, HOST:PORT or [v6]:PORT",
		    SLICE_ARG(slice_sub(text, 0, 80)));
	memcpy(ep.host, host.p, host.n);
	ep.port = (uint16_t)port;
	*out = ep;
	return 0;
}

char *endpoint_text(const struct endpoint *ep, char into[ENDPOINT_TEXT_MAX])
{
	if (ep->local)
		(void)snprintf(into, ENDPOINT_TEXT_MAX, "unix:%s", ep->path);
	else
		(void)snprintf(into, ENDPOINT_TEXT_MAX,
		    strchr(ep->host, ':') != NULL ? "[%s]:%u" : "%s:%u", ep->host,
		    (unsigned)ep->port);
	return into;
}

/* What the numbers of errno do not say: which folder, and what to do about it. */
static int listen_failed(const struct endpoint *ep, int error, struct err *e)
{
	char text[ENDPOINT_TEXT_MAX];
	const char *slash = ep->local ? strrchr(ep->path, '/') : NULL;
	int folder_n = slash == NULL ? 1 : slash == ep->path ? 1 : (int)(slash - ep->path);
	const char *folder = slash == NULL ? "." : ep->path;

	(void)endpoint_text(ep, text);
	if (ep->local && error == ENOENT)
		return err_set(e,
		    "%s: there is no folder %.*s: make it, for the user that the "
		    "program runs as",
		    text, folder_n, folder);
	if (ep->local && (error == EACCES || error == EROFS))
		return err_set(e, "%s: %s: the folder %.*s must be writable for uid %ld", text,
		    strerror(error), folder_n, folder, (long)geteuid());
	if (error == EADDRINUSE)
		return err_set(e, "%s: %s: another process listens there%s", text, strerror(error),
		    ep->local ? "" : " (ss -ltnp names it)");
	if (!ep->local && error == EACCES)
		return err_set(e, "%s: %s: ports below 1024 are for root (or CAP_NET_BIND_SERVICE)",
		    text, strerror(error));
	if (!ep->local && error == EADDRNOTAVAIL)
		return err_set(e, "%s: no address of this machine", text);
	return err_set(e, "%s: %s", text, strerror(error));
}

/* A socket that nobody serves is left over from a program that was killed, and goes. */
static int remove_stale(const struct endpoint *ep, struct err *e)
{
	struct stat st;
	int fd;

	if (lstat(ep->path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return 0;
	if ((fd = endpoint_connect(ep, 1000, NULL)) >= 0) {
		close(fd);
		return listen_failed(ep, EADDRINUSE, e);
	}
	(void)unlink(ep->path);
	return 0;
}

static int listen_local(const struct endpoint *ep, int backlog, mode_t mode, struct err *e)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd;

	memcpy(un.sun_path, ep->path, sizeof(un.sun_path));
	if (remove_stale(ep, e) < 0)
		return -1;
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		return err_set(e, "unix:%s: %s", ep->path, strerror(errno));
	if (bind(fd, (const struct sockaddr *)&un, sizeof(un)) < 0 || chmod(ep->path, mode) < 0 ||
	    listen(fd, backlog) < 0) {
		listen_failed(ep, errno, e);
		close(fd);
		return -1;
	}
	return fd;
}

static struct addrinfo *resolve(const struct endpoint *ep, int flags, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV },
			*found = NULL;
	char port[8];
	int rc;

	(void)snprintf(port, sizeof(port), "%u", (unsigned)ep->port);
	if ((rc = getaddrinfo(ep->host, port, &hints, &found)) != 0)
		err_set(e, "%s: %s", ep->host, gai_strerror(rc));
	return rc == 0 ? found : NULL;
}

int endpoint_listen(
    const struct endpoint *ep, int backlog, mode_t mode, bool reuse_port, struct err *e)
{
	struct addrinfo *at;
	int fd, one = 1;

	if (ep->local)
		return listen_local(ep, backlog, mode, e);
	if ((at = resolve(ep, AI_PASSIVE, e)) == NULL)
		return -1;
	fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0) ||
	    (at->ai_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
	    bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, backlog) < 0) {
		listen_failed(ep, errno, e);
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(at);
	return fd;
}

/* Connect within timeout_ms; the socket is blocking again afterwards. 0, or -1 with errno. */
static int connect_within(int fd, const struct sockaddr *sa, socklen_t n, int timeout_ms)
{
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	int flags = fcntl(fd, F_GETFL), error = 0;
	socklen_t size = sizeof(error);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -1;
	if (connect(fd, sa, n) < 0) {
		int ready;

		if (errno != EINPROGRESS)
			return -1;
		while ((ready = poll(&wait, 1, timeout_ms)) < 0 && errno == EINTR)
			;
		if (ready <= 0) {
			errno = ready == 0 ? ETIMEDOUT : errno;
			return -1;
		}
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0) {
			errno = error != 0 ? error : errno;
			return -1;
		}
	}
	return fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

static int connect_one(int family, const struct sockaddr *sa, socklen_t n, int timeout_ms)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -1;
	if (connect_within(fd, sa, n, timeout_ms) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	if (family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

int endpoint_connect(const struct endpoint *ep, int timeout_ms, struct err *e)
{
	char text[ENDPOINT_TEXT_MAX];
	struct addrinfo *all, *at;
	int fd = -1;

	if (ep->local) {
		struct sockaddr_un un = { .sun_family = AF_UNIX };

		memcpy(un.sun_path, ep->path, sizeof(un.sun_path));
		fd = connect_one(AF_UNIX, (const struct sockaddr *)&un, sizeof(un), timeout_ms);
		return fd >= 0 ? fd
			       : err_set(e, "%s: %s", endpoint_text(ep, text), strerror(errno));
	}
	if ((all = resolve(ep, 0, e)) == NULL)
		return -1;
	for (at = all; at != NULL && fd < 0; at = at->ai_next)
		fd = connect_one(at->ai_family, at->ai_addr, at->ai_addrlen, timeout_ms);
	if (fd < 0)
		err_set(e, "%s: %s", endpoint_text(ep, text), strerror(errno));
	freeaddrinfo(all);
	return fd;
}

uint16_t socket_port(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t n = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &n) < 0)
		return 0;
	return address_of((const struct sockaddr *)&ss).port;
}
