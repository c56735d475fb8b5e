/*
 * settings_tables - the tables of weir.json's three sections, one file each, for settings.c to
 * load.
 */
#ifndef WEIR_SETTINGS_TABLES_H
#define WEIR_SETTINGS_TABLES_H

#include <stddef.h>

#include "weir/settings.h"

extern const struct conf_table proxy_table, milterd_table, log_table;

/* What no row of proxy/listen and proxy/sasl can know by itself. */
void settings_check_auth(const struct settings *s, struct findings *f);
/* Take a relative path from the folder that the file lies in; prefix ("lmdb:") stays in front. */
int settings_anchor(char **text, const char *prefix, const char *folder, struct findings *f);

/* settings_tls.c: what no single row can know of TLS, and its paths. */
void settings_tls_check(const struct settings *s, struct findings *f);
void settings_tls_anchor(struct proxy_settings *p, const char *folder, struct findings *f);

#endif
