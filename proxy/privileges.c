#include "config.h"

#include "proxy/privileges.h"

#include <sys/resource.h>

#include "weir/privileges.h"

int privileges_leave_root(const struct settings *s, struct err *e)
{
	const char *user = s->proxy.user;

	if (privileges_check(user, "proxy.user", e) < 0 ||
	    privileges_socket_folder(&s->proxy.control, user, e) < 0)
		return -1;
	/* The log is opened again at a reload, when we are root no more. */
	if (privileges_give_log(s->log.to, user, e) < 0)
		return -1;
	return privileges_drop(user, e);
}

/* A session may hold four descriptors: client, backend, filter, spool. */
void privileges_raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}
