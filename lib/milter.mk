# lib: the milter protocol's packets
noinst_HEADERS += include/weir/milter.h
libweir_a_SOURCES += lib/milter_decode.c lib/milter_encode.c
