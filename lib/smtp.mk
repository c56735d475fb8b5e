# SMTP as octets and values: replies, paths and parameters, mail data.
libweir_a_SOURCES += \
	lib/smtp_data.c \
	lib/smtp_parameter.c \
	lib/smtp_path.c \
	lib/smtp_reply.c \
	lib/smtp_xtext.c

check_PROGRAMS += check_smtp_data
check_smtp_data_SOURCES = tests/unit/check_smtp_data.c tests/unit/unit.h
check_smtp_data_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
