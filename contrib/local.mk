EXTRA_DIST += \
	.ci/run \
	contrib/check \
	contrib/generate \
	contrib/lib/common.sh \
	contrib/packages \
	contrib/quickstart
