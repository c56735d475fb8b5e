# libweirfilter: everything that leads to a verdict, for the daemon and the command line.
noinst_LIBRARIES += libweirfilter.a
libweirfilter_a_SOURCES = \
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
