# milterd/facts: values and the catalogue. The providers and their table are listed by exam's part.
libweirfilter_a_SOURCES += \
	milterd/facts/catalogue.c \
	milterd/facts/catalogue_doc.c \
	milterd/facts/value.c
