# weir-proxy. Its sources outside filter/; the filter client adds its own.
sbin_PROGRAMS += weir-proxy
weir_proxy_SOURCES = \
	proxy/auth/auth.h \
	proxy/auth/auth_request.c \
	proxy/auth/auth_request.h \
	proxy/auth/auth_server.c \
	proxy/auth/auth_server.h \
	proxy/auth/auths.c \
	proxy/auth/auths.h \
	proxy/auth/base64.c \
	proxy/auth/base64.h \
	proxy/auth/bearer.c \
	proxy/auth/bearer.h \
	proxy/auth/cyrus.c \
	proxy/auth/cyrus.h \
	proxy/auth/dovecot.c \
	proxy/auth/dovecot.h \
	proxy/auth/introspect.c \
	proxy/auth/introspect.h \
	proxy/auth/introspection.c \
	proxy/auth/mechanism.c \
	proxy/auth/mechanism.h \
	proxy/auth/sasl_helper.c \
	proxy/auth/sasl_helper.h \
	proxy/auth/sasl_inside.h \
	proxy/auth/sasl_login.c \
	proxy/auth/sasl_pool.c \
	proxy/auth/sasl_pool.h \
	proxy/auth/sasl_process.c \
	proxy/auth/sasl_process.h \
	proxy/auth/sasl_service.c \
	proxy/auth/sasl_service.h \
	proxy/auth/sasl_task.c \
	proxy/control/penalties.c \
	proxy/control/penalties.h \
	proxy/control/admin.c \
	proxy/control/admin.h \
	proxy/control/decay.c \
	proxy/control/decay.h \
	proxy/control/keyed_hash.h \
	proxy/control/pressure.c \
	proxy/control/pressure.h \
	proxy/control/shared.c \
	proxy/control/shared.h \
	proxy/control/status.c \
	proxy/control/status.h \
	proxy/listen/client_name.c \
	proxy/listen/client_name.h \
	proxy/listen/front.c \
	proxy/listen/front.h \
	proxy/listen/listener.c \
	proxy/listen/listener.h \
	proxy/listen/proxy_header.c \
	proxy/listen/proxy_header.h \
	proxy/listen/proxy_wait.c \
	proxy/listen/proxy_wait.h \
	proxy/mail.c \
	proxy/mail.h \
	proxy/main.c \
	proxy/master.c \
	proxy/master.h \
	proxy/master_inside.h \
	proxy/privileges.c \
	proxy/privileges.h \
	proxy/received.c \
	proxy/received.h \
	proxy/reload.c \
	proxy/smtp/bdat.c \
	proxy/smtp/chunk.c \
	proxy/smtp/chunk.h \
	proxy/smtp/aborts.c \
	proxy/smtp/auth.c \
	proxy/smtp/auth.h \
	proxy/resolver.c \
	proxy/resolver.h \
	proxy/smtp/bad_input.c \
	proxy/smtp/command_xclient.c \
	proxy/smtp/commands.c \
	proxy/smtp/intake.c \
	proxy/smtp/intake.h \
	proxy/smtp/data.c \
	proxy/smtp/filters.c \
	proxy/smtp/findings.c \
	proxy/smtp/findings.h \
	proxy/smtp/identity.c \
	proxy/smtp/identity.h \
	proxy/smtp/line.c \
	proxy/smtp/line.h \
	proxy/smtp/mail_commands.c \
	proxy/smtp/memory.c \
	proxy/smtp/offer.c \
	proxy/smtp/session.c \
	proxy/smtp/session.h \
	proxy/smtp/starttls.c \
	proxy/smtp/transaction.c \
	proxy/smtp/xclient.c \
	proxy/smtp/xclient.h \
	proxy/sockets.c \
	proxy/sockets.h \
	proxy/spool.c \
	proxy/spool.h \
	proxy/stream.c \
	proxy/stream.h \
	proxy/stream_handshake.c \
	proxy/stream_inside.h \
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
	proxy/upstream/login.c \
	proxy/upstream/login.h \
	proxy/upstream/mail_data.c \
	proxy/upstream/mail_data.h \
	proxy/upstream/opening.c \
	proxy/upstream/opening.h \
	proxy/upstream/parameters.c \
	proxy/upstream/parameters.h \
	proxy/upstream/probe.c \
	proxy/upstream/probe.h \
	proxy/upstream/envelope.c \
	proxy/upstream/envelope.h \
	proxy/upstream/introduction.c \
	proxy/upstream/introduction.h \
	proxy/upstream/pool.c \
	proxy/upstream/pool.h \
	proxy/upstream/queue_id.c \
	proxy/upstream/queue_id.h \
	proxy/upstream/relay.c \
	proxy/upstream/relay.h \
	proxy/upstream/upstream.c \
	proxy/upstream/upstream.h \
	proxy/upstream/words.c \
	proxy/upstream/words.h \
	proxy/worker.c \
	proxy/worker.h \
	proxy/workers.c
weir_proxy_LDADD = libweirchain.a $(SASL_LIBS) $(CURL_LIBS) $(WEIR_LIBS) $(EVENT_LIBS)

check_PROGRAMS += check_decay check_line check_mail check_pressure check_received check_shared check_spool check_stream
check_PROGRAMS += check_auth check_penalties
check_auth_SOURCES = tests/unit/check_auth.c tests/unit/unit.h proxy/auth/base64.c proxy/auth/bearer.c \
	proxy/auth/dovecot.c proxy/auth/introspection.c proxy/auth/mechanism.c
check_auth_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_penalties_SOURCES = tests/unit/check_penalties.c tests/unit/unit.h proxy/control/penalties.c
check_penalties_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)

check_decay_SOURCES = tests/unit/check_decay.c tests/unit/unit.h proxy/control/decay.c
check_decay_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_PROGRAMS += check_introduction check_queue_id
check_introduction_SOURCES = tests/unit/check_introduction.c tests/unit/unit.h \
	proxy/upstream/introduction.c
check_introduction_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_queue_id_SOURCES = tests/unit/check_queue_id.c tests/unit/unit.h proxy/upstream/queue_id.c
check_queue_id_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_PROGRAMS += check_chunk
check_chunk_SOURCES = tests/unit/check_chunk.c tests/unit/unit.h proxy/smtp/chunk.c
check_chunk_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_line_SOURCES = tests/unit/check_line.c tests/unit/unit.h proxy/smtp/line.c
check_line_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_mail_SOURCES = tests/unit/check_mail.c tests/unit/unit.h proxy/mail.c proxy/spool.c
check_mail_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_pressure_SOURCES = tests/unit/check_pressure.c tests/unit/unit.h proxy/control/penalties.c \
	proxy/control/pressure.c proxy/control/shared.c
check_pressure_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_received_SOURCES = tests/unit/check_received.c tests/unit/unit.h proxy/received.c
check_received_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_shared_SOURCES = tests/unit/check_shared.c tests/unit/unit.h proxy/control/penalties.c \
	proxy/control/shared.c
check_shared_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_spool_SOURCES = tests/unit/check_spool.c tests/unit/unit.h proxy/spool.c
check_spool_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_stream_SOURCES = tests/unit/check_stream.c tests/unit/certificate.h tests/unit/unit.h proxy/stream.c \
	proxy/stream_handshake.c proxy/stream_tls.c proxy/tls/words.c
check_stream_LDADD = $(WEIR_LIBS) $(EVENT_LIBS) $(CHECK_LIBS)
check_PROGRAMS += check_tls
check_tls_SOURCES = tests/unit/check_tls.c tests/unit/certificate.h tests/unit/unit.h proxy/tls/identity.c \
	proxy/tls/policy.c proxy/tls/server.c proxy/tls/tickets.c proxy/tls/words.c
check_tls_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)

check_PROGRAMS += check_proxy_header
check_proxy_header_SOURCES = tests/unit/check_proxy_header.c tests/unit/unit.h \
	proxy/listen/proxy_header.c
check_proxy_header_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)

check_PROGRAMS += check_client_name
check_client_name_SOURCES = tests/unit/check_client_name.c tests/unit/unit.h \
	proxy/listen/client_name.c proxy/resolver.c
check_client_name_LDADD = $(WEIR_LIBS) $(EVENT_LIBS) $(CHECK_LIBS)

check_PROGRAMS += check_xclient
check_xclient_SOURCES = tests/unit/check_xclient.c tests/unit/unit.h proxy/smtp/xclient.c
check_xclient_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)

EXTRA_DIST += \
	tests/e2e/authlib.py \
	tests/e2e/dnslib.py \
	tests/e2e/filterlib.py \
	tests/e2e/proxylib.py \
	tests/e2e/test_proxy_attack.py \
	tests/e2e/test_proxy_auth.py \
	tests/e2e/test_proxy_auth_relay.py \
	tests/e2e/test_proxy_backend.py \
	tests/e2e/test_proxy_bdat.py \
	tests/e2e/test_proxy_filter.py \
	tests/e2e/test_proxy_offer.py \
	tests/e2e/test_proxy_sasl.py \
	tests/e2e/test_proxy_smtp.py \
	tests/fuzz/corpus/dovecot/answers \
	tests/fuzz/corpus/dovecot/handshake \
	tests/fuzz/corpus/dovecot/request \
	tests/fuzz/corpus/sasl/bearer \
	tests/fuzz/corpus/sasl/plain \
	tests/fuzz/corpus/sasl/scram \
	tests/fuzz/corpus/sasl/xoauth2 \
	tests/e2e/test_proxy_introduction.py \
	tests/e2e/sequencemodel.py \
	tests/e2e/sequencepeers.py \
	tests/e2e/sequences.py \
	tests/e2e/test_interop.py \
	tests/e2e/test_proxy_pool.py \
	tests/e2e/test_proxy_replies.py \
	tests/e2e/test_sequences.py \
	tests/e2e/test_proxy_identity.py \
	tests/e2e/test_proxy_smuggling.py \
	tests/e2e/test_proxy_limits.py \
	tests/fuzz/corpus/queue_id/exchange \
	tests/fuzz/corpus/queue_id/exim \
	tests/fuzz/corpus/queue_id/postfix \
	tests/fuzz/corpus/queue_id/sendmail \
	tests/fuzz/corpus/xclient/all \
	tests/fuzz/corpus/xclient/none \
	tests/fuzz/corpus/proxy_header/v1 \
	tests/fuzz/corpus/proxy_header/v1_unknown \
	tests/fuzz/corpus/proxy_header/v2_crc \
	tests/fuzz/corpus/proxy_header/v2_local \
	tests/fuzz/corpus/proxy_header/v2_tlv \
	tests/e2e/test_proxy_tls.py \
	tests/fuzz/corpus/smtp_chunk/borders \
	tests/fuzz/corpus/smtp_chunk/malformed \
	tests/fuzz/corpus/smtp_chunk/much \
	tests/fuzz/corpus/smtp_chunk/two \
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
noinst_PROGRAMS += fuzz_smtp_chunk
fuzz_smtp_chunk_SOURCES = tests/fuzz/fuzz_smtp_chunk.c proxy/smtp/chunk.c proxy/smtp/line.c
fuzz_smtp_chunk_LDADD = $(WEIR_LIBS)
fuzz_smtp_chunk_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

noinst_PROGRAMS += fuzz_smtp_line
fuzz_smtp_line_SOURCES = tests/fuzz/fuzz_smtp_line.c proxy/smtp/line.c
fuzz_smtp_line_LDADD = $(WEIR_LIBS)
fuzz_smtp_line_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

noinst_PROGRAMS += fuzz_proxy_header
fuzz_proxy_header_SOURCES = tests/fuzz/fuzz_proxy_header.c proxy/listen/proxy_header.c
fuzz_proxy_header_LDADD = $(WEIR_LIBS)
fuzz_proxy_header_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

noinst_PROGRAMS += fuzz_xclient
fuzz_xclient_SOURCES = tests/fuzz/fuzz_xclient.c proxy/smtp/xclient.c
fuzz_xclient_LDADD = $(WEIR_LIBS)
fuzz_xclient_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

noinst_PROGRAMS += fuzz_queue_id
fuzz_queue_id_SOURCES = tests/fuzz/fuzz_queue_id.c proxy/upstream/queue_id.c
fuzz_queue_id_LDADD = $(WEIR_LIBS)
fuzz_queue_id_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
