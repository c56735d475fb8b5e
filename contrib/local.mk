EXTRA_DIST += \
	.ci/run \
	contrib/check \
	contrib/generate \
	contrib/lib/common.sh \
	contrib/packages \
	contrib/quickstart
EXTRA_DIST += \
	contrib/postfix/main.cf.snippet \
	contrib/systemd/weir-milterd.service \
	contrib/systemd/weir-proxy.service \
	contrib/weir.json

# The configuration is the admin's: it is installed where there is none.
install-data-local:
	$(MKDIR_P) $(DESTDIR)$(sysconfdir)/weir
	test -e $(DESTDIR)$(sysconfdir)/weir/weir.json || \
		$(INSTALL_DATA) $(srcdir)/contrib/weir.json $(DESTDIR)$(sysconfdir)/weir/weir.json
