# Measurements, run by hand. Their C programs: make bench-programs
EXTRA_DIST += \
	bench/README.md \
	bench/accuracy \
	bench/connect \
	bench/filter \
	bench/growth \
	bench/idle \
	bench/instructions \
	bench/latency \
	bench/lib/bench.py \
	bench/lib/peers/__init__.py \
	bench/lib/peers/common.py \
	bench/lib/peers/haproxy.py \
	bench/lib/peers/haraka.py \
	bench/lib/peers/nginx.py \
	bench/lib/peers/postfix.py \
	bench/lib/peers/weir.py \
	bench/lib/processes.py \
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
