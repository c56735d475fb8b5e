# weir-proxy. Its sources outside filter/; the filter client adds its own.
sbin_PROGRAMS += weir-proxy
weir_proxy_SOURCES = \
	proxy/control/admin.c \
	proxy/control/admin.h \
	proxy/control/shared.c \
	proxy/control/shared.h \
	proxy/listen/listener.c \
	proxy/listen/listener.h \
	proxy/mail.c \
	proxy/mail.h \
	proxy/main.c \
	proxy/master.c \
	proxy/master.h \
	proxy/privileges.c \
	proxy/privileges.h \
	proxy/received.c \
	proxy/received.h \
	proxy/smtp/commands.c \
	proxy/smtp/intake.c \
	proxy/smtp/intake.h \
	proxy/smtp/data.c \
	proxy/smtp/filters.c \
	proxy/smtp/line.c \
	proxy/smtp/line.h \
	proxy/smtp/mail_commands.c \
	proxy/smtp/offer.c \
	proxy/smtp/session.c \
	proxy/smtp/session.h \
	proxy/smtp/starttls.c \
	proxy/smtp/transaction.c \
	proxy/sockets.c \
	proxy/sockets.h \
	proxy/spool.c \
	proxy/spool.h \
	proxy/stream.c \
	proxy/stream.h \
	proxy/stream_tls.c \
	proxy/stream_tls.h \
	proxy/tls/client.c \
	proxy/tls/client.h \
	proxy/tls/facts.c \
	proxy/tls/facts.h \
	proxy/tls/identity.c \
	proxy/tls/identity.h \
	proxy/tls/policy.c \
	proxy/tls/policy.h \
	proxy/tls/server.c \
	proxy/tls/server.h \
	proxy/tls/store.c \
	proxy/tls/store.h \
	proxy/tls/tickets.c \
	proxy/tls/tickets.h \
	proxy/tls/words.c \
	proxy/tls/words.h \
	proxy/upstream/backend.c \
	proxy/upstream/backend.h \
	proxy/upstream/backend_tls.c \
	proxy/upstream/backend_tls.h \
	proxy/upstream/dial.c \
	proxy/upstream/dial.h \
	proxy/upstream/parameters.c \
	proxy/upstream/parameters.h \
	proxy/upstream/relay.c \
	proxy/upstream/relay.h \
	proxy/upstream/upstream.c \
	proxy/upstream/upstream.h \
	proxy/worker.c \
	proxy/worker.h
weir_proxy_LDADD = libweirchain.a $(WEIR_LIBS) $(EVENT_LIBS)

check_PROGRAMS += check_line check_mail check_received check_shared check_spool check_stream
check_line_SOURCES = tests/unit/check_line.c tests/unit/unit.h proxy/smtp/line.c
check_line_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_mail_SOURCES = tests/unit/check_mail.c tests/unit/unit.h proxy/mail.c proxy/spool.c
check_mail_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_received_SOURCES = tests/unit/check_received.c tests/unit/unit.h proxy/received.c
check_received_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_shared_SOURCES = tests/unit/check_shared.c tests/unit/unit.h proxy/control/shared.c
check_shared_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_spool_SOURCES = tests/unit/check_spool.c tests/unit/unit.h proxy/spool.c
check_spool_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_stream_SOURCES = tests/unit/check_stream.c tests/unit/unit.h proxy/stream.c \
	proxy/stream_tls.c proxy/tls/words.c
check_stream_LDADD = $(WEIR_LIBS) $(EVENT_LIBS) $(CHECK_LIBS)
check_PROGRAMS += check_tls
check_tls_SOURCES = tests/unit/check_tls.c tests/unit/unit.h proxy/tls/identity.c \
	proxy/tls/policy.c proxy/tls/server.c proxy/tls/tickets.c proxy/tls/words.c
check_tls_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)

EXTRA_DIST += \
	tests/e2e/filterlib.py \
	tests/e2e/proxylib.py \
	tests/e2e/test_proxy_attack.py \
	tests/e2e/test_proxy_backend.py \
	tests/e2e/test_proxy_filter.py \
	tests/e2e/test_proxy_smtp.py \
	tests/e2e/test_proxy_tls.py \
	tests/fuzz/corpus/smtp_line/bare \
	tests/fuzz/corpus/smtp_line/plain

if FUZZING
noinst_PROGRAMS += fuzz_smtp_line
fuzz_smtp_line_SOURCES = tests/fuzz/fuzz_smtp_line.c proxy/smtp/line.c
fuzz_smtp_line_LDADD = $(WEIR_LIBS)
fuzz_smtp_line_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
