# weir, the command line: one cmd_NAME.c for each subcommand.
bin_PROGRAMS += weir
weir_SOURCES = \
	cli/cli.h \
	cli/cmd_check.c \
	cli/cmd_config.c \
	cli/cmd_reload.c \
	cli/cmd_rules.c \
	cli/examine.c \
	cli/examine.h \
	cli/main.c \
	cli/report.c \
	cli/report.h
weir_LDADD = $(FILTER_LIBS)
