# weir, the command line: one cmd_NAME.c for each subcommand.
bin_PROGRAMS += weir
weir_SOURCES = \
	cli/cli.h \
	cli/cmd_check.c \
	cli/cmd_config.c \
	cli/cmd_forget.c \
	cli/cmd_reload.c \
	cli/cmd_rules.c \
	cli/cmd_sink.c \
	cli/cmd_stats.c \
	cli/cmd_train.c \
	cli/examine.c \
	cli/examine.h \
	cli/mail_source.c \
	cli/mail_source.h \
	cli/maildir.c \
	cli/maildir.h \
	cli/main.c \
	cli/mbox.c \
	cli/mbox.h \
	cli/open_store.c \
	cli/open_store.h \
	cli/progress.c \
	cli/progress.h \
	cli/report.c \
	cli/report.h \
	cli/sink.h \
	cli/sink_chunks.c \
	cli/sink_commands.c \
	cli/sink_fault.c \
	cli/sink_session.c \
	cli/sink_session.h
weir_LDADD = $(FILTER_LIBS) $(EVENT_LIBS)

check_PROGRAMS += check_mail_source
check_mail_source_SOURCES = \
	cli/mail_source.c \
	cli/mbox.c \
	tests/unit/check_mail_source.c \
	tests/unit/unit.h
check_mail_source_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)

EXTRA_DIST += \
	tests/e2e/test_train.py \
	tests/fuzz/corpus/mbox/crlf \
	tests/fuzz/corpus/mbox/two
if FUZZING
noinst_PROGRAMS += fuzz_mbox
fuzz_mbox_SOURCES = cli/mbox.c tests/fuzz/fuzz_mbox.c
fuzz_mbox_LDADD = $(WEIR_LIBS)
fuzz_mbox_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

EXTRA_DIST += \
	tests/e2e/sinklib.py \
	tests/e2e/test_sink.py
