# weir, the command line: one cmd_NAME.c for each subcommand.
bin_PROGRAMS += weir
weir_SOURCES = \
	cli/cli.h \
	cli/cmd_config.c \
	cli/main.c
weir_LDADD = $(FILTER_LIBS)
