# proxy/filter: the milter client. weir-proxy links libweirchain.a before $(WEIR_LIBS); the library
# stands on proxy/mail.c and proxy/spool.c.
noinst_LIBRARIES += libweirchain.a
libweirchain_a_SOURCES = \
	proxy/filter/chain.c \
	proxy/filter/chain.h \
	proxy/filter/connection.c \
	proxy/filter/connection.h \
	proxy/filter/content.c \
	proxy/filter/content.h \
	proxy/filter/edits.c \
	proxy/filter/edits.h \
	proxy/filter/filter_session.c \
	proxy/filter/filter_session.h \
	proxy/filter/filters.c \
	proxy/filter/filters.h \
	proxy/filter/macros.c \
	proxy/filter/macros.h
