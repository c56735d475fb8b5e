# milterd/facts: sources and unit tests of this part
libweirfilter_a_SOURCES += \
	milterd/facts/attachments.c \
	milterd/facts/bayes.c \
	milterd/facts/body.c \
	milterd/facts/catalogue.c \
	milterd/facts/catalogue_doc.c \
	milterd/facts/client.c \
	milterd/facts/envelope.c \
	milterd/facts/header.c \
	milterd/facts/helo.c \
	milterd/facts/provide.c \
	milterd/facts/provide.h \
	milterd/facts/providers.c \
	milterd/facts/urls.c \
	milterd/facts/value.c
