#include "config.h"

#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/resource.h>
#include <unistd.h>

int privileges_drop(const struct settings *s, struct err *e)
{
	const char *user = s->proxy.user;
	const struct passwd *pw;

	if (geteuid() != 0 || user[0] == '\0')
		return 0;
	errno = 0;
	if ((pw = getpwnam(user)) == NULL)
		return err_set(e, "user \"%s\" is not known: create it, or set proxy.user", user);
	/* The log is opened again at a reload, when we are root no more. */
	if (s->log.to[0] == '/')
		(void)!lchown(s->log.to, pw->pw_uid, pw->pw_gid);
	if (initgroups(user, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
		return err_set(e, "user %s: %s", user, strerror(errno));
	return 0;
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
