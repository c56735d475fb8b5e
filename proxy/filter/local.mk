# proxy/filter: the milter client. weir-proxy links libweirchain.a before $(WEIR_LIBS); the library
# stands on proxy/mail.c and proxy/spool.c.
noinst_LIBRARIES += libweirchain.a
libweirchain_a_SOURCES = \
	proxy/filter/answer.c \
	proxy/filter/answer.h \
	proxy/filter/chain.c \
	proxy/filter/chain.h \
	proxy/filter/connection.c \
	proxy/filter/connection.h \
	proxy/filter/content.c \
	proxy/filter/content.h \
	proxy/filter/edits.c \
	proxy/filter/edits.h \
	proxy/filter/filter_session.c \
	proxy/filter/filter_session.h \
	proxy/filter/filters.c \
	proxy/filter/filters.h \
	proxy/filter/macros.c \
	proxy/filter/macros.h \
	proxy/filter/new_body.c \
	proxy/filter/new_body.h \
	proxy/filter/talk.c \
	proxy/filter/talk.h

CHAIN_TEST_LIBS = libweirchain.a $(WEIR_LIBS) $(EVENT_LIBS) $(CHECK_LIBS)
check_PROGRAMS += check_edits
check_edits_SOURCES = tests/unit/check_edits.c tests/unit/unit.h proxy/mail.c proxy/spool.c
check_edits_LDADD = $(CHAIN_TEST_LIBS)
check_PROGRAMS += check_chain
check_chain_SOURCES = tests/unit/check_chain.c tests/unit/fake_filter.c tests/unit/fake_filter.h \
	tests/unit/unit.h proxy/mail.c proxy/spool.c
check_chain_LDADD = $(CHAIN_TEST_LIBS)

EXTRA_DIST += \
	tests/e2e/fakemilter.py \
	tests/e2e/test_proxy_filters.py
EXTRA_DIST += tests/e2e/editmilter.py tests/e2e/test_proxy_real_filters.py

EXTRA_DIST += \
	tests/fuzz/corpus/edits/body \
	tests/fuzz/corpus/edits/envelope \
	tests/fuzz/corpus/edits/headers

if FUZZING
noinst_PROGRAMS += fuzz_edits
fuzz_edits_SOURCES = tests/fuzz/fuzz_edits.c proxy/mail.c proxy/spool.c
fuzz_edits_LDADD = libweirchain.a $(WEIR_LIBS) $(EVENT_LIBS)
fuzz_edits_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
