# milterd/learn: sources and unit tests of this part
libweirfilter_a_SOURCES += \
	milterd/learn/bayes.c \
	milterd/learn/combine.c \
	milterd/learn/combine.h \
	milterd/learn/features.c \
	milterd/learn/identity.c \
	milterd/learn/identity.h \
	milterd/learn/learn.c \
	milterd/learn/model.c \
	milterd/learn/model.h \
	milterd/learn/tokens.c \
	milterd/learn/tokens.h

check_PROGRAMS += check_bayes check_features
check_features_SOURCES = tests/unit/check_features.c tests/unit/unit.h
check_features_LDADD = $(FILTER_LIBS) $(CHECK_LIBS)
check_bayes_SOURCES = tests/unit/check_bayes.c tests/unit/unit.h
check_bayes_LDADD = $(FILTER_LIBS) $(CHECK_LIBS)

EXTRA_DIST += \
	tests/fuzz/corpus/features/mixed \
	tests/fuzz/corpus/features/plain
if FUZZING
noinst_PROGRAMS += fuzz_features
fuzz_features_SOURCES = tests/fuzz/fuzz_features.c
fuzz_features_LDADD = $(FILTER_LIBS)
fuzz_features_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
