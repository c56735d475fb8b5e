# Measurements, run by hand. Their C programs: make bench-programs
EXTRA_DIST += \
	bench/README.md \
	bench/accuracy \
	bench/filter \
	bench/relay
EXTRA_PROGRAMS = bench/bayes_driver bench/load bench/sink
bench_bayes_driver_SOURCES = bench/bayes_driver.c
bench_bayes_driver_LDADD = $(FILTER_LIBS)
bench_load_SOURCES = \
	bench/load.c \
	bench/load.h \
	bench/load_channel.c \
	bench/load_session.c
bench_load_LDADD = $(WEIR_LIBS)
bench_sink_SOURCES = bench/sink.c
bench_sink_LDADD = $(WEIR_LIBS)
CLEANFILES += $(EXTRA_PROGRAMS)
.PHONY: bench-programs
bench-programs: $(EXTRA_PROGRAMS)
