# lib: sources and unit tests of this part
libweir_a_SOURCES += \
	lib/store.c \
	lib/store_engine.h \
	lib/store_lmdb.c

check_PROGRAMS += check_store
check_store_SOURCES = tests/unit/check_store.c tests/unit/unit.h
check_store_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
