EXTRA_DIST += \
	.ci/run \
	contrib/check \
	contrib/demo/attachment-head.txt \
	contrib/demo/roof-1.eml \
	contrib/demo/roof-2.eml \
	contrib/demo/roof-3.eml \
	contrib/demo/roof-4.eml \
	contrib/demo/roof-5.eml \
	contrib/demo/worse.eml \
	contrib/generate \
	contrib/lib/common.sh \
	contrib/packages \
	contrib/postfix/main.cf.snippet \
	contrib/quickstart \
	contrib/systemd/weir-milterd.service.in \
	contrib/systemd/weir-proxy.service.in \
	contrib/weir.json.in

# Files that name paths: with those of this build.
units = \
	contrib/systemd/weir-milterd.service \
	contrib/systemd/weir-proxy.service
noinst_DATA = contrib/weir.json $(units)
CLEANFILES += $(noinst_DATA)
if INSTALL_UNITS
systemdsystemunit_DATA = $(units)
endif

$(noinst_DATA): %: %.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && sed \
		-e 's|@bindir[@]|$(bindir)|g' \
		-e 's|@sbindir[@]|$(sbindir)|g' \
		-e 's|@sysconfdir[@]|$(sysconfdir)|g' \
		-e 's|@localstatedir[@]|$(localstatedir)|g' \
		-e 's|@runstatedir[@]|$(runstatedir)|g' $< >$@.new && mv $@.new $@

# The configuration is the admin's: it is installed where there is none, and taken away only as it came.
installed_config = $(DESTDIR)$(sysconfdir)/weir/weir.json
install-data-local: contrib/weir.json
	$(MKDIR_P) $(DESTDIR)$(sysconfdir)/weir
	test -e $(installed_config) || $(INSTALL_DATA) contrib/weir.json $(installed_config)
uninstall-local: contrib/weir.json
	if cmp -s contrib/weir.json $(installed_config); then rm -f $(installed_config); fi
# Folders of ours that nothing is left in.
uninstall-hook:
	-rmdir $(DESTDIR)$(ruleexamplesdir) $(DESTDIR)$(rulesdir) $(DESTDIR)$(sysconfdir)/weir \
		$(DESTDIR)$(pkglibexecdir) 2>/dev/null
