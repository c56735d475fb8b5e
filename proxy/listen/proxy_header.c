#include "config.h"

#include "proxy_header.h"

#define LINE_MAX_1 107 /* of version 1, CR LF included */
#define HEAD_2     16  /* signature, version and command, family, length */

/* ---- version 1 ---------------------------------------------------------------------------- */

static int parse_end(struct slice address, struct slice port, int family, struct address *out)
{
	uint64_t number;
	bool v6 = slice_find(address, ':') < address.n;

	/* A leading zero is no number to the specification. */
	if (v6 != (family == AF_INET6) || address_parse(address, out, NULL) < 0 ||
	    slice_number(port, 65535, &number) < 0 || (port.n > 1 && port.p[0] == '0'))
		return -1;
	out->port = (uint16_t)number;
	return 0;
}

/* "TCP4 192.0.2.1 192.0.2.2 56324 25" */
static int parse_words(struct slice line, struct proxy_header *h, struct err *e)
{
	struct slice words[5];
	int family;

	for (size_t i = 0; i < COUNT(words); i++)
		words[i] = slice_cut(&line, ' ');
	/* What stands behind UNKNOWN is to be ignored. */
	if (slice_eq(words[0], SLICE("UNKNOWN"))) {
		h->local = true;
		return 0;
	}
	if (slice_eq(words[0], SLICE("TCP4")))
		family = AF_INET;
	else if (slice_eq(words[0], SLICE("TCP6")))
		family = AF_INET6;
	else
		return err_set(e, "the protocol is none of TCP4, TCP6, UNKNOWN");
	if (line.n > 0 || parse_end(words[1], words[3], family, &h->client) < 0 ||
	    parse_end(words[2], words[4], family, &h->server) < 0)
		return err_set(e, "two addresses and two ports must follow the protocol");
	return 0;
}

static int parse_line(struct slice in, struct proxy_header *h, size_t *used, struct err *e)
{
	struct slice head = slice_sub(in, 0, LINE_MAX_1);
	size_t end = 0;

	while (end < head.n && head.p[end] >= ' ' && head.p[end] <= '~')
		end++;
	if (end == head.n)
		return head.n < LINE_MAX_1 ? 0 : err_set(e, "a line without end");
	if (head.p[end] != '\r' || (end + 1 < head.n && head.p[end + 1] != '\n'))
		return err_set(e, "an octet that has no place in the line");
	if (end + 1 == head.n)
		return head.n < LINE_MAX_1 ? 0 : err_set(e, "a line without end");
	if (parse_words(slice_sub(head, 6, end - 6), h, e) < 0)
		return -1;
	*used = end + 2;
	return 1;
}

/* ---- version 2 ---------------------------------------------------------------------------- */

static uint32_t big_endian(const char *p, size_t n)
{
	uint32_t value = 0;

	for (size_t i = 0; i < n; i++)
		value = value << 8 | (uint8_t)p[i];
	return value;
}

/* CRC32C (RFC 3720 12.1), four bits at a time: a header is seen once a connection. */
static uint32_t crc_add(uint32_t crc, struct slice in)
{
	static const uint32_t table[16] = { 0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
		0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6,
		0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75 };

	for (size_t i = 0; i < in.n; i++) {
		crc ^= (uint8_t)in.p[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return crc;
}

/* Over the whole header, with zeros in the place of the checksum itself. */
static bool checksum_good(struct slice header, struct slice sum)
{
	size_t at = (size_t)(sum.p - header.p);
	uint32_t crc = UINT32_MAX;

	crc = crc_add(crc, slice_sub(header, 0, at));
	crc = crc_add(crc, SLICE("\0\0\0\0"));
	crc = crc_add(crc, slice_sub(header, at + 4, header.n));
	return (crc ^ UINT32_MAX) == big_endian(sum.p, 4);
}

enum {
	TYPE_AUTHORITY = 0x02,
	TYPE_CRC32C = 0x03,
	TYPE_UNIQUE_ID = 0x05,
	TYPE_SSL = 0x20,
	SUBTYPE_VERSION = 0x21,
	SUBTYPE_CN = 0x22,
	SUBTYPE_CIPHER = 0x23,
};
enum { CLIENT_SSL = 1, CLIENT_CERT_CONN = 2, CLIENT_CERT_SESS = 4 };

/* Take one type-length-value off *rest. False where there is no whole one. */
static bool take_tlv(struct slice *rest, unsigned *type, struct slice *value)
{
	size_t n;

	if (rest->n < 3)
		return false;
	*type = (uint8_t)rest->p[0];
	n = big_endian(rest->p + 1, 2);
	if (n > rest->n - 3)
		return false;
	*value = slice_of(rest->p + 3, n);
	*rest = slice_sub(*rest, 3 + n, rest->n);
	return true;
}

static int parse_ssl(struct slice in, struct proxy_header *h, struct err *e)
{
	struct slice value;
	unsigned type, client;

	if (in.n < 5)
		return err_set(e, "PP2_TYPE_SSL is too short");
	client = (uint8_t)in.p[0];
	h->tls.used = (client & CLIENT_SSL) != 0;
	h->tls.verified = (client & (CLIENT_CERT_CONN | CLIENT_CERT_SESS)) != 0 &&
	    big_endian(in.p + 1, 4) == 0;
	in = slice_sub(in, 5, in.n);
	while (in.n > 0) {
		if (!take_tlv(&in, &type, &value))
			return err_set(e, "PP2_TYPE_SSL does not hold together");
		if (type == SUBTYPE_VERSION)
			h->tls.version = value;
		else if (type == SUBTYPE_CN)
			h->tls.common_name = value;
		else if (type == SUBTYPE_CIPHER)
			h->tls.cipher = value;
	}
	return 0;
}

static int parse_tlv(
    struct slice header, unsigned type, struct slice value, struct proxy_header *h, struct err *e)
{
	switch (type) {
	case TYPE_AUTHORITY:
		h->authority = value;
		return 0;
	case TYPE_CRC32C:
		if (value.n != 4)
			return err_set(e, "PP2_TYPE_CRC32C must have 4 octets");
		return checksum_good(header, value) ? 0 : err_set(e, "the checksum is wrong");
	case TYPE_UNIQUE_ID:
		if (value.n > PROXY_UNIQUE_MAX)
			return err_set(e, "PP2_TYPE_UNIQUE_ID is too long");
		h->unique_id = value;
		return 0;
	case TYPE_SSL:
		return parse_ssl(value, h, e);
	default:
		return 0;
	}
}

/* Address families and transports, and the octets that their addresses take. */
static const struct form {
	uint8_t code;
	int family; /* AF_UNSPEC: carries no address of use */
	size_t address, size;
} forms[] = {
	{ 0x00, AF_UNSPEC, 0, 0 },     /* UNSPEC */
	{ 0x11, AF_INET, 4, 12 },      /* TCP over IPv4 */
	{ 0x21, AF_INET6, 16, 36 },    /* TCP over IPv6 */
	{ 0x31, AF_UNSPEC, 108, 216 }, /* a Unix stream socket */
};

static struct address address_at(const char *p, int family, const char *port)
{
	struct address a = { .family = family, .port = (uint16_t)big_endian(port, 2) };
	struct sockaddr_storage ss;

	memcpy(a.octets, p, family == AF_INET ? 4 : 16);
	/* A v4-mapped address becomes the IPv4 address that it is. */
	(void)address_sockaddr(&a, &ss);
	return address_of((const struct sockaddr *)&ss);
}

static int parse_proxied(struct slice header, struct proxy_header *h, struct err *e)
{
	struct slice rest = slice_sub(header, HEAD_2, header.n), value;
	const struct form *form = NULL;
	unsigned type;

	for (size_t i = 0; i < COUNT(forms); i++)
		if (forms[i].code == (uint8_t)header.p[13])
			form = &forms[i];
	if (form == NULL)
		return err_set(e, "unknown family or transport 0x%02x", (uint8_t)header.p[13]);
	if (rest.n < form->size)
		return err_set(e, "too short for its addresses");
	h->local = form->family == AF_UNSPEC;
	if (!h->local) {
		const char *ports = rest.p + 2 * form->address;

		h->client = address_at(rest.p, form->family, ports);
		h->server = address_at(rest.p + form->address, form->family, ports + 2);
	}
	rest = slice_sub(rest, form->size, rest.n);
	while (rest.n > 0)
		if (!take_tlv(&rest, &type, &value))
			return err_set(e, "a TLV goes beyond the end");
		else if (parse_tlv(header, type, value, h, e) < 0)
			return -1;
	return 0;
}

static int parse_binary(struct slice in, struct proxy_header *h, size_t *used, struct err *e)
{
	size_t n = HEAD_2;

	if (in.n > 12 && in.p[12] != 0x20 && in.p[12] != 0x21)
		return err_set(e, "unknown version or command 0x%02x", (uint8_t)in.p[12]);
	if (in.n < HEAD_2)
		return 0;
	n += big_endian(in.p + 14, 2);
	if (n > PROXY_HEADER_MAX)
		return err_set(e, "longer than %d octets", PROXY_HEADER_MAX);
	if (in.n < n)
		return 0;
	/* LOCAL: the balancer speaks for itself; what else it says is to be discarded. */
	h->local = in.p[12] == 0x20;
	if (!h->local && parse_proxied(slice_sub(in, 0, n), h, e) < 0)
		return -1;
	*used = n;
	return 1;
}

int proxy_header_parse(struct slice in, struct proxy_header *h, size_t *used, struct err *e)
{
	struct proxy_header found = { 0 };
	struct slice signature = PROXY_SIGNATURE_2, word = SLICE("PROXY ");
	int rc;

	*used = 0;
	if (slice_starts(in, word))
		rc = parse_line(in, &found, used, e);
	else if (slice_starts(in, signature))
		rc = parse_binary(in, &found, used, e);
	else if (slice_starts(word, in) || slice_starts(signature, in))
		rc = 0;
	else
		rc = err_set(e, "it does not begin like one");
	if (rc == 1)
		*h = found;
	return rc;
}
