# weir-proxy. Its sources outside filter/; the filter client adds its own.
sbin_PROGRAMS += weir-proxy
weir_proxy_SOURCES = \
	proxy/control/admin.c \
	proxy/control/admin.h \
	proxy/control/shared.c \
	proxy/control/shared.h \
	proxy/listen/listener.c \
	proxy/listen/listener.h \
	proxy/mail.c \
	proxy/mail.h \
	proxy/main.c \
	proxy/master.c \
	proxy/master.h \
	proxy/received.c \
	proxy/received.h \
	proxy/smtp/commands.c \
	proxy/smtp/intake.c \
	proxy/smtp/intake.h \
	proxy/smtp/data.c \
	proxy/smtp/filters.c \
	proxy/smtp/line.c \
	proxy/smtp/line.h \
	proxy/smtp/mail_commands.c \
	proxy/smtp/session.c \
	proxy/smtp/session.h \
	proxy/smtp/transaction.c \
	proxy/sockets.c \
	proxy/sockets.h \
	proxy/spool.c \
	proxy/spool.h \
	proxy/stream.c \
	proxy/stream.h \
	proxy/upstream/backend.c \
	proxy/upstream/backend.h \
	proxy/upstream/dial.c \
	proxy/upstream/dial.h \
	proxy/upstream/relay.c \
	proxy/upstream/relay.h \
	proxy/upstream/upstream.c \
	proxy/upstream/upstream.h \
	proxy/worker.c \
	proxy/worker.h
weir_proxy_LDADD = libweirchain.a $(WEIR_LIBS) $(EVENT_LIBS)
