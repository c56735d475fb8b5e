# The shipped rules go to the folder that the daemon reads; local.json beside them is the admin's and never touched.
rulesdir = $(sysconfdir)/weir/rules
dist_rules_DATA = \
	rules/10-policy.json \
	rules/20-malware.json \
	rules/30-phishing.json \
	rules/40-header.json \
	rules/50-content.json \
	rules/60-bayes.json
ruleexamplesdir = $(rulesdir)/examples
dist_ruleexamples_DATA = \
	rules/examples/gtube.eml \
	rules/examples/ham-invoice.eml \
	rules/examples/ham-name-address.eml \
	rules/examples/ham-newsletter.eml \
	rules/examples/ham-personal.eml \
	rules/examples/ham-reply.eml \
	rules/examples/malware-archive-password.eml \
	rules/examples/malware-disk-image.eml \
	rules/examples/malware-double-extension.eml \
	rules/examples/malware-macro.eml \
	rules/examples/malware-reversed-name.eml \
	rules/examples/malware-script.eml \
	rules/examples/phish-bec.eml \
	rules/examples/phish-brand.eml \
	rules/examples/phish-html-attachment.eml \
	rules/examples/phish-mailbox.eml \
	rules/examples/phish-name-address.eml \
	rules/examples/spam-advance-fee.eml \
	rules/examples/spam-broken-mime.eml \
	rules/examples/spam-crypto.eml \
	rules/examples/spam-extortion.eml \
	rules/examples/spam-no-header.eml \
	rules/examples/spam-pharmacy.eml \
	rules/examples/spam-picture.eml \
	rules/examples/spam-seo.eml
EXTRA_DIST += rules/weir-rules.schema.json
