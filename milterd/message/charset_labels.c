/*
 * charset_labels - the charsets that mail is written in, and the many names they go by. The list is
 * closed on purpose: a hostile label never reaches iconv_open(), and what is not here no mail
 * program reads either. Supersets stand for what their labels promise (WHATWG Encoding 4.2):
 * windows-1252 for ISO 8859-1, GBK for GB 2312.
 */
#include "config.h"

#include "milterd/message/charset.h"

#include <stdlib.h>

static const struct charset charsets[CHARSET_COUNT] = {
	[CS_ASCII] = { NULL, CHARSET_ASCII, 1, CS_ASCII },
	[CS_UTF8] = { NULL, CHARSET_UTF8, 1, CS_UTF8 },
	[CS_CP1252] = { NULL, CHARSET_CP1252, 1, CS_CP1252 },
#define X(id, name, unit) [CS_##id] = { name, CHARSET_ICONV, unit, CS_##id },
	CHARSETS(X)
#undef X
};

/* Sorted by label. */
static const struct {
	const char *label;
	enum charset_id id;
} labels[] = {
	{ "ansi_x3.4-1968", CS_ASCII },
	{ "arabic", CS_LATIN_ARABIC },
	{ "ascii", CS_ASCII },
	{ "big5", CS_BIG5 },
	{ "big5-hkscs", CS_BIG5 },
	{ "cn-big5", CS_BIG5 },
	{ "cp1250", CS_CP1250 },
	{ "cp1251", CS_CP1251 },
	{ "cp1252", CS_CP1252 },
	{ "cp1253", CS_CP1253 },
	{ "cp1254", CS_CP1254 },
	{ "cp1255", CS_CP1255 },
	{ "cp1256", CS_CP1256 },
	{ "cp1257", CS_CP1257 },
	{ "cp1258", CS_CP1258 },
	{ "cp437", CS_CP437 },
	{ "cp819", CS_CP1252 },
	{ "cp850", CS_CP850 },
	{ "cp852", CS_CP852 },
	{ "cp866", CS_CP866 },
	{ "cp932", CS_SJIS },
	{ "cp936", CS_GB18030 },
	{ "cp949", CS_EUC_KR },
	{ "cp950", CS_BIG5 },
	{ "cskoi8r", CS_KOI8_R },
	{ "csshiftjis", CS_SJIS },
	{ "cyrillic", CS_LATIN_CYRILLIC },
	{ "euc-cn", CS_GB18030 },
	{ "euc-jp", CS_EUC_JP },
	{ "euc-kr", CS_EUC_KR },
	{ "euc-tw", CS_EUC_TW },
	{ "gb18030", CS_GB18030 },
	{ "gb2312", CS_GB18030 },
	{ "gb_2312-80", CS_GB18030 },
	{ "gbk", CS_GB18030 },
	{ "greek", CS_LATIN_GREEK },
	{ "hebrew", CS_LATIN_HEBREW },
	{ "ibm437", CS_CP437 },
	{ "ibm850", CS_CP850 },
	{ "ibm852", CS_CP852 },
	{ "ibm866", CS_CP866 },
	{ "iso-2022-cn", CS_ISO_2022_CN },
	{ "iso-2022-jp", CS_ISO_2022_JP },
	{ "iso-2022-jp-1", CS_ISO_2022_JP },
	{ "iso-2022-jp-2", CS_ISO_2022_JP },
	{ "iso-2022-kr", CS_ISO_2022_KR },
	{ "iso-8859-1", CS_CP1252 },
	{ "iso-8859-10", CS_LATIN6 },
	{ "iso-8859-11", CS_CP874 },
	{ "iso-8859-13", CS_LATIN7 },
	{ "iso-8859-14", CS_LATIN8 },
	{ "iso-8859-15", CS_LATIN9 },
	{ "iso-8859-16", CS_LATIN10 },
	{ "iso-8859-2", CS_LATIN2 },
	{ "iso-8859-3", CS_LATIN3 },
	{ "iso-8859-4", CS_LATIN4 },
	{ "iso-8859-5", CS_LATIN_CYRILLIC },
	{ "iso-8859-6", CS_LATIN_ARABIC },
	{ "iso-8859-7", CS_LATIN_GREEK },
	{ "iso-8859-8", CS_LATIN_HEBREW },
	{ "iso-8859-8-i", CS_LATIN_HEBREW },
	{ "iso-8859-9", CS_CP1254 },
	{ "iso8859-1", CS_CP1252 },
	{ "iso8859-15", CS_LATIN9 },
	{ "iso8859-2", CS_LATIN2 },
	{ "iso8859-9", CS_CP1254 },
	{ "iso_8859-1", CS_CP1252 },
	{ "iso_8859-15", CS_LATIN9 },
	{ "iso_8859-2", CS_LATIN2 },
	{ "koi8-r", CS_KOI8_R },
	{ "koi8-ru", CS_KOI8_U },
	{ "koi8-u", CS_KOI8_U },
	{ "koi8r", CS_KOI8_R },
	{ "ks_c_5601-1987", CS_EUC_KR },
	{ "ksc5601", CS_EUC_KR },
	{ "ksc_5601", CS_EUC_KR },
	{ "latin1", CS_CP1252 },
	{ "latin2", CS_LATIN2 },
	{ "latin9", CS_LATIN9 },
	{ "macintosh", CS_MACINTOSH },
	{ "ms_kanji", CS_SJIS },
	{ "shift-jis", CS_SJIS },
	{ "shift_jis", CS_SJIS },
	{ "sjis", CS_SJIS },
	{ "tis-620", CS_CP874 },
	{ "ucs-2", CS_UTF16 },
	{ "unicode-1-1-utf-7", CS_UTF7 },
	{ "unicode-1-1-utf-8", CS_UTF8 },
	{ "us-ascii", CS_ASCII },
	{ "utf-16", CS_UTF16 },
	{ "utf-16be", CS_UTF16BE },
	{ "utf-16le", CS_UTF16LE },
	{ "utf-32", CS_UTF32 },
	{ "utf-32be", CS_UTF32BE },
	{ "utf-32le", CS_UTF32LE },
	{ "utf-7", CS_UTF7 },
	{ "utf-8", CS_UTF8 },
	{ "utf16", CS_UTF16 },
	{ "utf7", CS_UTF7 },
	{ "utf8", CS_UTF8 },
	{ "windows-1250", CS_CP1250 },
	{ "windows-1251", CS_CP1251 },
	{ "windows-1252", CS_CP1252 },
	{ "windows-1253", CS_CP1253 },
	{ "windows-1254", CS_CP1254 },
	{ "windows-1255", CS_CP1255 },
	{ "windows-1256", CS_CP1256 },
	{ "windows-1257", CS_CP1257 },
	{ "windows-1258", CS_CP1258 },
	{ "windows-31j", CS_SJIS },
	{ "windows-874", CS_CP874 },
	{ "windows-936", CS_GB18030 },
	{ "windows-949", CS_EUC_KR },
	{ "x-euc-jp", CS_EUC_JP },
	{ "x-gbk", CS_GB18030 },
	{ "x-mac-cyrillic", CS_MAC_CYRILLIC },
	{ "x-mac-roman", CS_MACINTOSH },
	{ "x-sjis", CS_SJIS },
	{ "x-user-defined", CS_CP1252 },
	{ "x-windows-949", CS_EUC_KR },
	{ "x-x-big5", CS_BIG5 },
};

static int label_compare(const void *key, const void *row)
{
	return strcmp(key, *(const char *const *)row);
}

const struct charset *charset_find(struct slice label)
{
	char store[24] = "";
	struct buf lower = BUF_ON(store);
	const void *row;

	if (label.n == 0)
		return &charsets[CS_ASCII];
	for (size_t i = 0; i < label.n && !lower.cut; i++)
		buf_addc(&lower, ascii_lower(label.p[i]));
	if (lower.cut || memchr(store, '\0', label.n) != NULL)
		return NULL;
	row = bsearch(store, labels, COUNT(labels), sizeof(labels[0]), label_compare);
	if (row == NULL)
		return NULL;
	return &charsets
	    [labels[((const char *)row - (const char *)labels) / (ptrdiff_t)sizeof(labels[0])].id];
}
