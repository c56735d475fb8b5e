noinst_LIBRARIES += libweir.a
libweir_a_SOURCES = \
	lib/arena.c \
	lib/conf.c \
	lib/conf_free.c \
	lib/conf_show.c \
	lib/err.c \
	lib/file.c \
	lib/json.c \
	lib/log.c \
	lib/net.c \
	lib/privileges.c \
	lib/settings.c \
	lib/settings_auth.c \
	lib/settings_milterd.c \
	lib/settings_proxy.c \
	lib/settings_tables.h \
	lib/settings_tls.c \
	lib/slice.c

check_PROGRAMS += check_slice check_net check_conf
check_slice_SOURCES = tests/unit/check_slice.c tests/unit/unit.h
check_slice_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_net_SOURCES = tests/unit/check_net.c tests/unit/unit.h
check_net_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
check_conf_SOURCES = tests/unit/check_conf.c tests/unit/unit.h
check_conf_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
