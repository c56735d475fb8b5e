# SMTP as octets and values: replies, paths and parameters, mail data.
libweir_a_SOURCES += \
	lib/smtp_data.c \
	lib/smtp_parameter.c \
	lib/smtp_path.c \
	lib/smtp_reply.c \
	lib/smtp_values.c \
	lib/smtp_xtext.c

check_PROGRAMS += check_smtp_data check_smtp_reply check_smtp_syntax
check_smtp_data_SOURCES = tests/unit/check_smtp_data.c tests/unit/unit.h
check_smtp_data_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_smtp_reply_SOURCES = tests/unit/check_smtp_reply.c tests/unit/unit.h
check_smtp_reply_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_smtp_syntax_SOURCES = tests/unit/check_smtp_syntax.c tests/unit/unit.h
check_smtp_syntax_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)

EXTRA_DIST += \
	tests/fuzz/corpus/smtp_data/nul \
	tests/fuzz/corpus/smtp_data/plain \
	tests/fuzz/corpus/smtp_data/smuggle \
	tests/fuzz/corpus/smtp_path/null \
	tests/fuzz/corpus/smtp_path/postmaster \
	tests/fuzz/corpus/smtp_path/route \
	tests/fuzz/corpus/smtp_path/utf8 \
	tests/fuzz/corpus/smtp_reply/ehlo \
	tests/fuzz/corpus/smtp_reply/refusal \
	tests/fuzz/corpus/smtp_reply/text

if FUZZING
noinst_PROGRAMS += fuzz_smtp_data fuzz_smtp_path fuzz_smtp_reply
fuzz_smtp_data_SOURCES = tests/fuzz/fuzz_smtp_data.c
fuzz_smtp_data_LDADD = $(WEIR_LIBS)
fuzz_smtp_data_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_smtp_path_SOURCES = tests/fuzz/fuzz_smtp_path.c
fuzz_smtp_path_LDADD = $(WEIR_LIBS)
fuzz_smtp_path_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_smtp_reply_SOURCES = tests/fuzz/fuzz_smtp_reply.c
fuzz_smtp_reply_LDADD = $(WEIR_LIBS)
fuzz_smtp_reply_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
