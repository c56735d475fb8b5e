# proxy/filter: the milter client. weir-proxy links libweirchain.a before $(WEIR_LIBS); the library
# stands on proxy/mail.c and proxy/spool.c.
noinst_LIBRARIES += libweirchain.a
libweirchain_a_SOURCES = \
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
	proxy/filter/macros.h

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
