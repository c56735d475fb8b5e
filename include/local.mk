noinst_HEADERS = \
	include/weir/arena.h \
	include/weir/conf.h \
	include/weir/control.h \
	include/weir/err.h \
	include/weir/file.h \
	include/weir/json.h \
	include/weir/log.h \
	include/weir/net.h \
	include/weir/privileges.h \
	include/weir/settings.h \
	include/weir/slice.h \
	include/weir/smtp_data.h \
	include/weir/smtp_reply.h \
	include/weir/smtp_syntax.h \
	include/weir/store.h
