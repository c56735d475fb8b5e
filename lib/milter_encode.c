#include "config.h"

#include "weir/milter.h"

#include <arpa/inet.h>

enum { TEXT_MAX = 4096, PARAMETERS_MAX = 8192, MACRO_MAX = 1024, LENGTH = 4 };

static void put_u32(struct bytes *out, uint32_t v)
{
	char p[4] = { (char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v };

	(void)bytes_add(out, slice_of(p, 4));
}

/* End the string that began at `at`. A NUL inside would end it early for the filter: made '?'. */
static void end_str(struct bytes *out, size_t at)
{
	if (!bytes_addc(out, '\0'))
		return;
	for (char *nul; (nul = memchr(out->p + at, '\0', out->n - 1 - at)) != NULL;)
		*nul = '?';
}

static void put_str(struct bytes *out, struct slice s)
{
	size_t at = out->n;

	(void)bytes_add(out, s);
	end_str(out, at);
}

static size_t packet_open(struct bytes *out, enum milter_command command)
{
	size_t at = out->n;

	put_u32(out, 0);
	(void)bytes_addc(out, (char)command);
	return at;
}

/* Set the length; a packet that memory did not suffice for is taken back. */
static bool packet_close(struct bytes *out, size_t at)
{
	size_t n;
	unsigned char *p;

	if (out->failed) {
		out->n = at;
		return false;
	}
	n = out->n - at - LENGTH;
	p = (unsigned char *)out->p + at;
	p[0] = (unsigned char)(n >> 24);
	p[1] = (unsigned char)(n >> 16);
	p[2] = (unsigned char)(n >> 8);
	p[3] = (unsigned char)n;
	return true;
}

bool milter_put_options(struct bytes *out, const struct milter_options *o)
{
	size_t at = packet_open(out, MILTER_OPTNEG);

	put_u32(out, o->version);
	put_u32(out, o->actions);
	put_u32(out, o->protocol);
	return packet_close(out, at);
}

bool milter_put(struct bytes *out, enum milter_command command)
{
	return packet_close(out, packet_open(out, command));
}

struct milter_macros milter_macros_open(struct bytes *out, enum milter_command belongs_to)
{
	struct milter_macros m = { .at = packet_open(out, MILTER_MACRO) };

	(void)bytes_addc(out, (char)belongs_to);
	return m;
}

void milter_macros_add(
    struct bytes *out, struct milter_macros *m, struct slice name, struct slice value)
{
	value = slice_sub(value, 0, MACRO_MAX);
	if (out->n - m->at - LENGTH - 1 + name.n + value.n + 2 > MILTER_CHUNK_MAX)
		return;
	put_str(out, name);
	put_str(out, value);
	m->pairs++;
}

bool milter_macros_close(struct bytes *out, const struct milter_macros *m)
{
	if (m->pairs > 0)
		return packet_close(out, m->at);
	if (out->n > m->at)
		out->n = m->at;
	return !out->failed;
}

/* Family '4' and '6' with port and address, 'L' with an empty path, 'U' alone. libmilter closes on
 * brackets, zone ids and v4-mapped text; struct address holds none of them. */
static void put_address(struct bytes *out, const struct address *a)
{
	char text[ADDRESS_TEXT_MAX];
	uint16_t port = htons(a->port);
	char family = a->family == AF_INET ? '4'
	    : a->family == AF_INET6        ? '6'
	    : a->family == AF_UNIX         ? 'L'
					   : 'U';

	(void)bytes_addc(out, family);
	if (family == 'U')
		return;
	if (family == 'L')
		port = 0;
	(void)bytes_add(out, slice_of(&port, sizeof(port)));
	put_str(out, family == 'L' ? SLICE("") : slice_z(address_text(a, text)));
}

bool milter_put_connect(struct bytes *out, struct slice host, const struct address *client)
{
	size_t at = packet_open(out, MILTER_CONNECT);

	put_str(out, slice_sub(host, 0, TEXT_MAX));
	put_address(out, client);
	return packet_close(out, at);
}

bool milter_put_text(struct bytes *out, enum milter_command command, struct slice text)
{
	size_t at = packet_open(out, command);

	put_str(out, slice_sub(text, 0, TEXT_MAX));
	return packet_close(out, at);
}

bool milter_put_path(
    struct bytes *out, enum milter_command command, struct slice address, struct slice parameters)
{
	size_t at = packet_open(out, command), path = out->n;

	(void)bytes_addc(out, '<');
	(void)bytes_add(out, slice_sub(address, 0, TEXT_MAX));
	(void)bytes_addc(out, '>');
	end_str(out, path);
	for (parameters = slice_sub(parameters, 0, PARAMETERS_MAX); parameters.n > 0;) {
		struct slice one = slice_cut(&parameters, ' ');

		if (one.n > 0)
			put_str(out, one);
	}
	return packet_close(out, at);
}

/* The value's first octets up to max, ending where a line ends if any does. */
static struct slice cut_at_fold(struct slice value, size_t max)
{
	size_t n = max;

	if (value.n <= max)
		return value;
	while (n > 0 && value.p[n - 1] != '\n')
		n--;
	if (n == 0)
		return slice_sub(value, 0, max);
	n--;
	return slice_sub(value, 0, n > 0 && value.p[n - 1] == '\r' ? n - 1 : n);
}

/* Lines joined by LF alone: with CR LF filters would sign and log what the MTA does not send. */
static void put_folded(struct bytes *out, struct slice value)
{
	size_t at = out->n;

	while (value.n > 0) {
		struct slice line = slice_sub(value, 0, slice_find(value, '\n'));
		bool last = line.n == value.n;

		value = slice_sub(value, line.n + 1, value.n);
		if (!last && line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		(void)bytes_add(out, line);
		if (!last)
			(void)bytes_addc(out, '\n');
	}
	end_str(out, at);
}

bool milter_put_header(struct bytes *out, struct slice name, struct slice value, bool leading_space)
{
	size_t at = packet_open(out, MILTER_HEADER);

	name = slice_sub(name, 0, MILTER_HEADER_MAX / 2);
	if (!leading_space && value.n > 0 && value.p[0] == ' ')
		value = slice_sub(value, 1, value.n);
	put_str(out, name);
	put_folded(out, cut_at_fold(value, MILTER_HEADER_MAX - name.n));
	return packet_close(out, at);
}

bool milter_put_body(struct bytes *out, struct slice chunk)
{
	size_t at = packet_open(out, MILTER_BODY);

	(void)bytes_add(out, slice_sub(chunk, 0, MILTER_CHUNK_MAX));
	return packet_close(out, at);
}
