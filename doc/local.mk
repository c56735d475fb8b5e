# Manuals; weir.json.5's settings and facts.md come from the programs' tables (contrib/generate).
dist_man_MANS += \
	doc/weir-milterd.8 \
	doc/weir-proxy.8 \
	doc/weir-rules.5 \
	doc/weir.1 \
	doc/weir.json.5
EXTRA_DIST += doc/facts.md
