# weir-proxy. Its sources outside filter/; the filter client adds its own.
sbin_PROGRAMS += weir-proxy
weir_proxy_SOURCES = \
	proxy/auth/auth.h \
	proxy/auth/auth_server.c \
	proxy/auth/auth_server.h \
	proxy/auth/auths.c \
	proxy/auth/auths.h \
	proxy/auth/base64.c \
	proxy/auth/base64.h \
	proxy/auth/bearer.c \
	proxy/auth/bearer.h \
	proxy/auth/dovecot.c \
	proxy/auth/dovecot.h \
	proxy/auth/mechanism.c \
	proxy/auth/mechanism.h \
	proxy/control/penalties.c \
	proxy/control/penalties.h \
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
	proxy/smtp/auth.c \
	proxy/smtp/auth.h \
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
	proxy/smtp/transaction.c \
	proxy/sockets.c \
	proxy/sockets.h \
	proxy/spool.c \
	proxy/spool.h \
	proxy/stream.c \
	proxy/stream.h \
	proxy/upstream/backend.c \
	proxy/upstream/backend.h \
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

check_PROGRAMS += check_auth check_penalties
check_auth_SOURCES = tests/unit/check_auth.c tests/unit/unit.h proxy/auth/base64.c proxy/auth/bearer.c \
	proxy/auth/dovecot.c proxy/auth/mechanism.c
check_auth_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_penalties_SOURCES = tests/unit/check_penalties.c tests/unit/unit.h proxy/control/penalties.c
check_penalties_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)

check_PROGRAMS += check_line check_mail check_received check_shared check_spool check_stream
check_line_SOURCES = tests/unit/check_line.c tests/unit/unit.h proxy/smtp/line.c
check_line_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_mail_SOURCES = tests/unit/check_mail.c tests/unit/unit.h proxy/mail.c proxy/spool.c
check_mail_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_received_SOURCES = tests/unit/check_received.c tests/unit/unit.h proxy/received.c
check_received_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_shared_SOURCES = tests/unit/check_shared.c tests/unit/unit.h proxy/control/penalties.c \
	proxy/control/shared.c
check_shared_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_spool_SOURCES = tests/unit/check_spool.c tests/unit/unit.h proxy/spool.c
check_spool_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_stream_SOURCES = tests/unit/check_stream.c tests/unit/unit.h proxy/stream.c
check_stream_LDADD = $(WEIR_LIBS) $(EVENT_LIBS) $(CHECK_LIBS)

EXTRA_DIST += \
	tests/e2e/authlib.py \
	tests/e2e/filterlib.py \
	tests/e2e/proxylib.py \
	tests/e2e/test_proxy_attack.py \
	tests/e2e/test_proxy_auth.py \
	tests/e2e/test_proxy_backend.py \
	tests/e2e/test_proxy_filter.py \
	tests/e2e/test_proxy_smtp.py \
	tests/fuzz/corpus/dovecot/answers \
	tests/fuzz/corpus/dovecot/handshake \
	tests/fuzz/corpus/dovecot/request \
	tests/fuzz/corpus/sasl/bearer \
	tests/fuzz/corpus/sasl/plain \
	tests/fuzz/corpus/sasl/scram \
	tests/fuzz/corpus/sasl/xoauth2 \
	tests/fuzz/corpus/smtp_line/bare \
	tests/fuzz/corpus/smtp_line/plain

if FUZZING
noinst_PROGRAMS += fuzz_dovecot fuzz_sasl fuzz_smtp_line
fuzz_dovecot_SOURCES = tests/fuzz/fuzz_dovecot.c proxy/auth/dovecot.c
fuzz_dovecot_LDADD = $(WEIR_LIBS)
fuzz_dovecot_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_sasl_SOURCES = tests/fuzz/fuzz_sasl.c proxy/auth/base64.c proxy/auth/bearer.c proxy/auth/mechanism.c
fuzz_sasl_LDADD = $(WEIR_LIBS)
fuzz_sasl_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_smtp_line_SOURCES = tests/fuzz/fuzz_smtp_line.c proxy/smtp/line.c
fuzz_smtp_line_LDADD = $(WEIR_LIBS)
fuzz_smtp_line_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
