# libweirfilter: everything that leads to a verdict, for the daemon and the command line.
noinst_LIBRARIES += libweirfilter.a
libweirfilter_a_SOURCES = \
	milterd/edit_plan.c \
	milterd/edit_plan.h \
	milterd/engine.c \
	milterd/exam.c \
	milterd/exam.h \
	milterd/exam_body.h \
	milterd/exam_json.c \
	milterd/facts/facts.h \
	milterd/learn/bayes.h \
	milterd/message/message.h \
	milterd/reply_lines.c \
	milterd/reply_lines.h \
	milterd/rules/rules.h \
	milterd/scanner_client.h

# weir-milterd. What libmilter needs stays with this program.
sbin_PROGRAMS += weir-milterd
weir_milterd_SOURCES = \
	milterd/daemon.c \
	milterd/daemon.h \
	milterd/main.c \
	milterd/milter.c \
	milterd/milter.h \
	milterd/verdict_line.c \
	milterd/verdict_line.h
weir_milterd_LDADD = $(FILTER_LIBS) $(MILTER_LIBS)

check_PROGRAMS += check_exam check_reply_lines
check_exam_SOURCES = tests/unit/check_exam.c tests/unit/unit.h
check_exam_LDADD = $(FILTER_LIBS) $(CHECK_LIBS)
check_reply_lines_SOURCES = tests/unit/check_reply_lines.c tests/unit/unit.h
check_reply_lines_LDADD = $(FILTER_LIBS) $(CHECK_LIBS)

EXTRA_DIST += \
	tests/e2e/milterdlib.py \
	tests/e2e/milterwire.py \
	tests/e2e/postfixlib.py \
	tests/e2e/test_check_cli.py \
	tests/e2e/test_milterd_miltertest.py \
	tests/e2e/test_postfix.py \
	tests/e2e/test_reload.py \
	tests/e2e/test_same_verdict.py \
	tests/e2e/test_store_trouble.py
EXTRA_DIST += \
	tests/fuzz/corpus/exam/ham-newsletter.eml \
	tests/fuzz/corpus/exam/malware-macro.eml \
	tests/fuzz/corpus/exam/phish-bec.eml \
	tests/fuzz/corpus/exam/spam-broken-mime.eml \
	tests/fuzz/corpus/exam/spam-no-header.eml

if FUZZING
noinst_PROGRAMS += fuzz_exam
fuzz_exam_SOURCES = tests/fuzz/fuzz_exam.c
fuzz_exam_LDADD = $(FILTER_LIBS)
fuzz_exam_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
