/*
 * unit - what each check_*.c needs around its tables: a main that runs one suite and prints Check's
 * closing line.
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <check.h>
#include <stdlib.h>

#include "weir/slice.h"

/* Compare a slice with a C text. */
#define ck_assert_slice_eq(s, text)                                                               \
	do {                                                                                      \
		struct slice ck_s = (s), ck_t = slice_z(text);                                    \
		ck_assert_msg(slice_eq(ck_s, ck_t), "is \"%.*s\", not \"%.*s\"", SLICE_ARG(ck_s), \
		    SLICE_ARG(ck_t));                                                             \
	} while (0)

/* Run the suite; the exit status of the test program. */
static inline int unit_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
