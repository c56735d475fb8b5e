#include "config.h"

#include <stdlib.h>

#include "weir/conf.h"

/* What conf_load filled: asking it, and giving it back. */

bool conf_networks_have(const struct conf_networks *n, const struct address *a)
{
	for (size_t i = 0; i < n->n; i++)
		if (network_has(&n->v[i], a))
			return true;
	return false;
}

static void free_items(const struct conf_table *table, struct conf_items *items)
{
	for (size_t i = 0; i < items->n; i++)
		conf_free(table, (char *)items->v + i * table->size);
	free(items->v);
	*items = (struct conf_items){ 0 };
}

static void free_strs(struct conf_strs *strs)
{
	for (size_t i = 0; i < strs->n; i++)
		free(strs->v[i]);
	free(strs->v);
	*strs = (struct conf_strs){ 0 };
}

void conf_free(const struct conf_table *table, void *settings)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct conf_field *field = &table->fields[i];
		void *place = (char *)settings + field->offset;

		if (field->type == CONF_STR) {
			free(*(char **)place);
			*(char **)place = NULL;
		} else if (field->type == CONF_STRS) {
			free_strs(place);
		} else if (field->type == CONF_NETWORKS) {
			free(((struct conf_networks *)place)->v);
			*(struct conf_networks *)place = (struct conf_networks){ 0 };
		} else if (field->type == CONF_LIST || field->type == CONF_MAP) {
			free_items(field->table, place);
		}
	}
}
