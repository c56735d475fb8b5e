# Measurements, run by hand. What bench/accuracy drives: make bench/bayes_driver
EXTRA_DIST += \
	bench/README.md \
	bench/accuracy \
	bench/filter \
	bench/relay
EXTRA_PROGRAMS = bench/bayes_driver
bench_bayes_driver_SOURCES = bench/bayes_driver.c
bench_bayes_driver_LDADD = $(FILTER_LIBS)
CLEANFILES += bench/bayes_driver
