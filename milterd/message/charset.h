/*
 * charset - the closed list of charsets, between its table and its converter.
 */
#ifndef WEIR_MESSAGE_CHARSET_H
#define WEIR_MESSAGE_CHARSET_H

#include "milterd/message/inside.h"

/* Identifier, iconv's name, octets that are left out where they make no character. */
#define CHARSETS(X)                        \
	X(BIG5, "BIG5-HKSCS", 1)           \
	X(CP1250, "WINDOWS-1250", 1)       \
	X(CP1251, "WINDOWS-1251", 1)       \
	X(CP1253, "WINDOWS-1253", 1)       \
	X(CP1254, "WINDOWS-1254", 1)       \
	X(CP1255, "WINDOWS-1255", 1)       \
	X(CP1256, "WINDOWS-1256", 1)       \
	X(CP1257, "WINDOWS-1257", 1)       \
	X(CP1258, "WINDOWS-1258", 1)       \
	X(CP437, "CP437", 1)               \
	X(CP850, "CP850", 1)               \
	X(CP852, "CP852", 1)               \
	X(CP866, "CP866", 1)               \
	X(CP874, "CP874", 1)               \
	X(EUC_JP, "EUC-JP", 1)             \
	X(EUC_KR, "CP949", 1)              \
	X(EUC_TW, "EUC-TW", 1)             \
	X(GB18030, "GB18030", 1)           \
	X(ISO_2022_CN, "ISO-2022-CN", 1)   \
	X(ISO_2022_JP, "ISO-2022-JP-2", 1) \
	X(ISO_2022_KR, "ISO-2022-KR", 1)   \
	X(KOI8_R, "KOI8-R", 1)             \
	X(KOI8_U, "KOI8-U", 1)             \
	X(LATIN2, "ISO-8859-2", 1)         \
	X(LATIN3, "ISO-8859-3", 1)         \
	X(LATIN4, "ISO-8859-4", 1)         \
	X(LATIN6, "ISO-8859-10", 1)        \
	X(LATIN7, "ISO-8859-13", 1)        \
	X(LATIN8, "ISO-8859-14", 1)        \
	X(LATIN9, "ISO-8859-15", 1)        \
	X(LATIN10, "ISO-8859-16", 1)       \
	X(LATIN_ARABIC, "ISO-8859-6", 1)   \
	X(LATIN_CYRILLIC, "ISO-8859-5", 1) \
	X(LATIN_GREEK, "ISO-8859-7", 1)    \
	X(LATIN_HEBREW, "ISO-8859-8", 1)   \
	X(MACINTOSH, "MACINTOSH", 1)       \
	X(MAC_CYRILLIC, "MAC-CYRILLIC", 1) \
	X(SJIS, "CP932", 1)                \
	X(UTF7, "UTF-7", 1)                \
	X(UTF16, "UTF-16", 2)              \
	X(UTF16BE, "UTF-16BE", 2)          \
	X(UTF16LE, "UTF-16LE", 2)          \
	X(UTF32, "UTF-32", 4)              \
	X(UTF32BE, "UTF-32BE", 4)          \
	X(UTF32LE, "UTF-32LE", 4)

enum charset_id {
	CS_ASCII,
	CS_UTF8,
	CS_CP1252,
#define X(id, name, unit) CS_##id,
	CHARSETS(X)
#undef X
	    CHARSET_COUNT
};

enum charset_kind {
	CHARSET_ASCII,  /* taken for UTF-8 where it is well-formed, else for windows-1252 */
	CHARSET_UTF8,   /* what is not well-formed becomes U+FFFD */
	CHARSET_CP1252, /* and ISO 8859-1 */
	CHARSET_ICONV
};

struct charset {
	const char *iconv;
	enum charset_kind kind;
	unsigned unit;
	enum charset_id id;
};

#endif
