# What belongs to no single part.
EXTRA_DIST += \
	tests/STATEMENTS.md \
	tests/e2e/gridpeers.py \
	tests/e2e/test_bench.py \
	tests/e2e/test_exit_status.py \
	tests/e2e/test_failures.py \
	tests/e2e/test_grid.py \
	tests/e2e/test_odd_messages.py \
	tests/e2e/test_statements.py \
	tests/e2e/test_start.py \
	tests/unit/unit.h
