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

#endif
