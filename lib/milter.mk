# lib: the milter protocol's packets
noinst_HEADERS += include/weir/milter.h
libweir_a_SOURCES += lib/milter_decode.c lib/milter_encode.c

check_PROGRAMS += check_milter
check_milter_SOURCES = tests/unit/check_milter.c tests/unit/unit.h
check_milter_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)

EXTRA_DIST += \
	tests/fuzz/corpus/milter_reply/edits \
	tests/fuzz/corpus/milter_reply/negotiation \
	tests/fuzz/corpus/milter_reply/replycode

if FUZZING
noinst_PROGRAMS += fuzz_milter_reply
fuzz_milter_reply_SOURCES = tests/fuzz/fuzz_milter_reply.c
fuzz_milter_reply_LDADD = $(WEIR_LIBS)
fuzz_milter_reply_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
