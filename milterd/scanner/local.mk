# weir-scanner: the only program that links libclamav, GPL-2.0-only. It must not link libweir.a
# (Apache-2.0); protocol.h, channel.c and scratch.c are 0BSD and stand on both sides of the socket.
pkglibexec_PROGRAMS += weir-scanner
weir_scanner_SOURCES = \
	milterd/scanner/channel.c \
	milterd/scanner/channel.h \
	milterd/scanner/engine.c \
	milterd/scanner/engine.h \
	milterd/scanner/main.c \
	milterd/scanner/protocol.h \
	milterd/scanner/sandbox.c \
	milterd/scanner/sandbox.h \
	milterd/scanner/scratch.c \
	milterd/scanner/scratch.h \
	milterd/scanner/worker.c \
	milterd/scanner/worker.h
weir_scanner_CFLAGS = $(WEIR_CFLAGS) $(CLAMAV_CFLAGS)
weir_scanner_LDADD = $(CLAMAV_LIBS)
EXTRA_DIST += milterd/scanner/COPYING

# The daemon's side.
libweirfilter_a_SOURCES += \
	milterd/facts/virus.c \
	milterd/scanner/channel.c \
	milterd/scanner/channel.h \
	milterd/scanner/protocol.h \
	milterd/scanner/scratch.c \
	milterd/scanner/scratch.h \
	milterd/scanner_client.c \
	milterd/scanner_job.c \
	milterd/scanner_job.h \
	milterd/scanner_keeper.c \
	milterd/scanner_pool.c \
	milterd/scanner_pool.h \
	milterd/scanner_process.c \
	milterd/scanner_process.h

check_PROGRAMS += check_scanner
check_scanner_SOURCES = \
	tests/unit/check_scanner.c \
	tests/unit/scanner_fake.c \
	tests/unit/scanner_kit.c \
	tests/unit/scanner_kit.h \
	tests/unit/unit.h
check_scanner_LDADD = $(FILTER_LIBS) $(CHECK_LIBS)
check_PROGRAMS += check_virus check_scanner_answer
check_virus_SOURCES = tests/unit/check_virus.c tests/unit/unit.h
check_virus_LDADD = $(FILTER_LIBS) $(CHECK_LIBS)
check_scanner_answer_SOURCES = tests/unit/check_scanner_answer.c tests/unit/unit.h
check_scanner_answer_LDADD = $(FILTER_LIBS) $(CHECK_LIBS)
AM_TESTS_ENVIRONMENT += WEIR_SCANNER='$(abs_top_builddir)/weir-scanner'; export WEIR_SCANNER;
EXTRA_DIST += contrib/demo/signatures/eicar.ndb

if FUZZING
noinst_PROGRAMS += fuzz_scanner
fuzz_scanner_SOURCES = tests/fuzz/fuzz_scanner.c
fuzz_scanner_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_scanner_LDADD = $(FILTER_LIBS)
endif
EXTRA_DIST += \
	tests/fuzz/corpus/scanner/answer-clean \
	tests/fuzz/corpus/scanner/answer-virus \
	tests/fuzz/corpus/scanner/notice-loaded \
	tests/fuzz/corpus/scanner/notice-worker
