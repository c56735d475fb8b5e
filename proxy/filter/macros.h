/*
 * macros - what filters may know about the session beside the events: names and values, and which
 * of them go with which event.
 * Ownership  values are copied.
 * Errors     false without memory.
 */
#ifndef PROXY_FILTER_MACROS_H
#define PROXY_FILTER_MACROS_H

#include "weir/milter.h"

struct macro {
	char *name, *value; /* value NULL: was set once and is no more */
	size_t name_n;
};
struct macros {
	struct macro *v;
	size_t n, cap;
};

/* name: "i" or "{auth_authen}"; braces around one letter do not count. value.p NULL unsets. */
bool macros_set(struct macros *m, struct slice name, struct slice value);
/* .p is NULL where it is not set. */
struct slice macros_get(const struct macros *m, struct slice name);
/* Write the packet for a command: the filter's own list where it gave one (list.p not NULL), else
 * the default of the stage. What is not set is left out; what was set for an earlier event and is
 * no more goes out empty, since filters keep what they were told last. */
bool macros_put(
    const struct macros *m, enum milter_stage stage, struct slice list, struct bytes *out);
void macros_free(struct macros *m);

#endif
