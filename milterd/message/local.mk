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
