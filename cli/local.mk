# weir, the command line: one cmd_NAME.c for each subcommand.
bin_PROGRAMS += weir
weir_SOURCES = \
	cli/cli.h \
	cli/cmd_config.c \
	cli/cmd_sink.c \
	cli/main.c \
	cli/maildir.c \
	cli/maildir.h \
	cli/sink.h \
	cli/sink_commands.c \
	cli/sink_fault.c \
	cli/sink_session.c \
	cli/sink_session.h
weir_LDADD = $(FILTER_LIBS) $(EVENT_LIBS)

EXTRA_DIST += \
	tests/e2e/sinklib.py \
	tests/e2e/test_sink.py
