# milterd/message: sources and unit tests of this part
libweirfilter_a_SOURCES += \
	milterd/message/anomaly.c \
	milterd/message/anomaly.h \
	milterd/message/charset.c \
	milterd/message/charset.h \
	milterd/message/charset_labels.c \
	milterd/message/content.c \
	milterd/message/decode.c \
	milterd/message/header.c \
	milterd/message/html.c \
	milterd/message/html_style.c \
	milterd/message/html_style.h \
	milterd/message/html_tables.c \
	milterd/message/inside.h \
	milterd/message/mailbox.c \
	milterd/message/message.c \
	milterd/message/mime.c \
	milterd/message/params.c \
	milterd/message/parse.c \
	milterd/message/url.c \
	milterd/message/words.c

check_PROGRAMS += check_mime
check_mime_SOURCES = tests/unit/check_mime.c tests/unit/message_case.h tests/unit/unit.h
check_mime_LDADD = $(FILTER_LIBS) $(CHECK_LIBS)
check_PROGRAMS += check_header
check_header_SOURCES = tests/unit/check_header.c tests/unit/message_case.h tests/unit/unit.h
check_header_LDADD = $(FILTER_LIBS) $(CHECK_LIBS)
check_PROGRAMS += check_html
check_html_SOURCES = tests/unit/check_html.c tests/unit/message_case.h tests/unit/unit.h
check_html_LDADD = $(FILTER_LIBS) $(CHECK_LIBS)

EXTRA_DIST += \
	tests/fuzz/corpus/header/broken \
	tests/fuzz/corpus/header/list \
	tests/fuzz/corpus/header/words \
	tests/fuzz/corpus/html/odd \
	tests/fuzz/corpus/html/page \
	tests/fuzz/corpus/message/alternative \
	tests/fuzz/corpus/message/attachment \
	tests/fuzz/corpus/message/charsets \
	tests/fuzz/corpus/message/encoded-message \
	tests/fuzz/corpus/message/no-boundary \
	tests/fuzz/corpus/message/uuencode

if FUZZING
noinst_PROGRAMS += fuzz_message fuzz_header fuzz_html
fuzz_message_SOURCES = tests/fuzz/fuzz_message.c
fuzz_message_LDADD = $(FILTER_LIBS)
fuzz_message_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_header_SOURCES = tests/fuzz/fuzz_header.c
fuzz_header_LDADD = $(FILTER_LIBS)
fuzz_header_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_html_SOURCES = tests/fuzz/fuzz_html.c
fuzz_html_LDADD = $(FILTER_LIBS)
fuzz_html_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
