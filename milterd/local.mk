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
	milterd/privileges.c \
	milterd/privileges.h \
	milterd/verdict_line.c \
	milterd/verdict_line.h
weir_milterd_LDADD = $(FILTER_LIBS) $(MILTER_LIBS)

check_PROGRAMS += check_exam
check_exam_SOURCES = tests/unit/check_exam.c tests/unit/unit.h
check_exam_LDADD = $(FILTER_LIBS) $(CHECK_LIBS)

EXTRA_DIST += \
	tests/e2e/milterdlib.py \
	tests/e2e/milterwire.py \
	tests/e2e/postfixlib.py \
	tests/e2e/test_check_cli.py \
	tests/e2e/test_milterd_miltertest.py \
	tests/e2e/test_postfix.py \
	tests/e2e/test_reload.py
