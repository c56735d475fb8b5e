# lib: the control socket.
libweir_a_SOURCES += lib/control.c

check_PROGRAMS += check_control
check_control_SOURCES = tests/unit/check_control.c tests/unit/unit.h
check_control_LDADD = $(WEIR_LIBS) $(CHECK_LIBS)
