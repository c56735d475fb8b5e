/*
 * anomaly - what was odd about a message, as a bit each. Names are stable: rules use them.
 */
#ifndef WEIR_MESSAGE_ANOMALY_H
#define WEIR_MESSAGE_ANOMALY_H

#include "milterd/message/message.h"

/* One row each: identifier, name, what it says of the message. */
#define ANOMALIES(X)                                                                               \
	X(MEMORY, "message.memory", "memory ran out; the structure is incomplete")                 \
	X(TOO_LARGE, "message.too_large",                                                          \
	    "the message is larger than what is kept; its end was not looked at")                  \
	X(HEADER_NONE, "header.none", "there is no header field at all")                           \
	X(HEADER_TOO_LARGE, "header.too_large",                                                    \
	    "the header section is larger than what is kept; its end was not looked at")           \
	X(HEADER_TOO_MANY, "header.too_many", "there are more header fields than are looked at")   \
	X(HEADER_NO_COLON, "header.no_colon",                                                      \
	    "a line of a part's header section is no field and was skipped")                       \
	X(HEADER_BAD_NAME, "header.bad_name",                                                      \
	    "a field's name is empty or holds octets that no name may hold")                       \
	X(HEADER_BLANK_FOLD, "header.blank_fold",                                                  \
	    "a field goes on over a line of blanks only, which others take for the header's end")  \
	X(HEADER_BARE_CR, "header.bare_cr", "a header field holds a CR without LF")                \
	X(HEADER_NOT_UTF8, "header.not_utf8", "a header field holds 8-bit octets, not UTF-8")      \
	X(HEADER_BAD_WORD, "header.bad_word",                                                      \
	    "an encoded word (RFC 2047) is cut, or of an unknown charset or encoding")             \
	X(BODY_NUL, "body.nul", "text holds NUL octets; they are not part of the visible text")    \
	X(TEXT_CUT, "text.cut", "there is more text than is kept")                                 \
	X(CHARSET_UNKNOWN, "charset.unknown",                                                      \
	    "a charset is unknown; its text was read as windows-1252")                             \
	X(CHARSET_INVALID, "charset.invalid",                                                      \
	    "text holds octets that are none in its charset (overlong UTF-8 among them)")          \
	X(TOO_DEEP, "mime.too_deep", "parts are nested deeper than is looked at")                  \
	X(TOO_MANY_PARTS, "mime.too_many_parts", "there are more parts than are looked at")        \
	X(BOUNDARY_MISSING, "mime.boundary_missing",                                               \
	    "a multipart declares no usable boundary; its first delimiter-like line was taken")    \
	X(BOUNDARY_UNSEEN, "mime.boundary_unseen",                                                 \
	    "a multipart's boundary never comes; its body was read as one part")                   \
	X(BOUNDARY_UNCLOSED, "mime.boundary_unclosed", "a multipart has no close-delimiter")       \
	X(BOUNDARY_TRAILER, "mime.boundary_trailer", "a delimiter line holds more than it should") \
	X(BOUNDARY_REUSED, "mime.boundary_reused", "a multipart has the boundary of an outer one") \
	X(AFTER_CLOSE, "mime.after_close", "parts follow behind a close-delimiter")                \
	X(DUPLICATE_TYPE, "mime.duplicate_content_type",                                           \
	    "a part has several Content-Type fields; the first was taken")                         \
	X(DUPLICATE_ENCODING, "mime.duplicate_content_transfer_encoding",                          \
	    "a part has several Content-Transfer-Encoding fields; the first was taken")            \
	X(DUPLICATE_DISPOSITION, "mime.duplicate_content_disposition",                             \
	    "a part has several Content-Disposition fields; the first was taken")                  \
	X(BAD_TYPE, "mime.bad_content_type", "a Content-Type is no type/subtype")                  \
	X(BAD_PARAMETER, "mime.bad_parameter",                                                     \
	    "a parameter is cut, unquoted where it should be quoted, or has no value")             \
	X(DUPLICATE_PARAMETER, "mime.duplicate_parameter",                                         \
	    "a parameter is given more than once; the first was taken")                            \
	X(PARAMETER_GAP, "mime.parameter_gap",                                                     \
	    "a continued parameter (RFC 2231) lacks a section; the others were joined")            \
	X(TOO_MANY_PARAMETERS, "mime.too_many_parameters",                                         \
	    "a field has more parameters, or is longer, than is looked at")                        \
	X(ENCODING_UNKNOWN, "mime.encoding_unknown",                                               \
	    "a transfer encoding is unknown; the part was read as it is")                          \
	X(ENCODED_COMPOSITE, "mime.encoded_composite",                                             \
	    "a multipart or message part has a transfer encoding, which RFC 2045 6.4 forbids")     \
	X(BASE64_NOISE, "mime.base64_noise", "base64 holds octets that belong to no base64")       \
	X(BASE64_PADDING, "mime.base64_padding", "base64 goes on behind its padding, or lacks it") \
	X(QP_BAD, "mime.quoted_printable_bad",                                                     \
	    "quoted-printable holds '=' without two hex digits")                                   \
	X(DECODED_TOO_LARGE, "mime.decoded_too_large",                                             \
	    "encoded messages in encoded messages hold more than is decoded")                      \
	X(URLS_TOO_MANY, "url.too_many", "there are more URLs than are kept")                      \
	X(HTML_TOO_DEEP, "html.too_deep", "HTML elements are nested deeper than is looked at")

enum anomaly {
#define X(id, name, about) ANOMALY_##id,
	ANOMALIES(X)
#undef X
	    ANOMALY_COUNT
};

static inline void anomaly_add(struct message *m, enum anomaly a)
{
	m->anomaly_bits |= UINT64_C(1) << a;
}
/* The same for a limit or for want of memory: what is there is incomplete. */
static inline void anomaly_fail(struct message *m, enum anomaly a)
{
	anomaly_add(m, a);
	m->failed = true;
}
/* Fill m->anomalies from the bits. */
void anomalies_list(struct message *m);

#endif
