#include "config.h"

#include "weir/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weir/file.h"

/* The user to change to; NULL when there is nothing to change. */
static int find(const char *user, const struct passwd **pw, struct err *e)
{
	*pw = NULL;
	if (geteuid() != 0 || user[0] == '\0')
		return 0;
	/* Start-up: there is one thread. */
	if ((*pw = getpwnam(user)) == NULL) /* NOLINT(concurrency-mt-unsafe) */
		return err_set(e, "user \"%s\" does not exist", user);
	return 0;
}

int privileges_check(const char *user, const char *setting, struct err *e)
{
	const struct passwd *pw;

	if (find(user, &pw, e) == 0)
		return 0;
	return err_set(e,
	    "user \"%s\" does not exist: make it (adduser --system --group --no-create-home %s), "
	    "or set %s",
	    user, user, setting);
}

int privileges_folder(const char *path, const char *user, struct err *e)
{
	const struct passwd *pw;
	struct stat st;

	if (find(user, &pw, e) < 0)
		return -1;
	if (stat(path, &st) == 0)
		return 0;
	return pw != NULL ? folder_make_for(path, pw->pw_uid, pw->pw_gid, e) : folder_make(path, e);
}

int privileges_socket_folder(const struct endpoint *ep, const char *user, struct err *e)
{
	const char *slash = ep->local ? strrchr(ep->path, '/') : NULL;
	char folder[sizeof(ep->path)];

	if (slash == NULL || slash == ep->path)
		return 0;
	(void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - ep->path), ep->path);
	return privileges_folder(folder, user, e);
}

int privileges_give(const char *path, const char *user, struct err *e)
{
	const struct passwd *pw;

	if (find(user, &pw, e) < 0)
		return -1;
	if (pw != NULL && chown(path, pw->pw_uid, pw->pw_gid) < 0)
		return err_set(e, "%s: %s", path, strerror(errno));
	return 0;
}

int privileges_give_log(const char *path, const char *user, struct err *e)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) ? privileges_give(path, user, e) : 0;
}

int privileges_drop(const char *user, struct err *e)
{
	const struct passwd *pw;

	if (find(user, &pw, e) < 0)
		return -1;
	if (pw == NULL)
		return 0;
	if (initgroups(pw->pw_name, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 ||
	    setuid(pw->pw_uid) < 0)
		return err_set(e, "cannot become user \"%s\": %s", user, strerror(errno));
	if (pw->pw_uid != 0 && setuid(0) == 0)
		return err_set(e, "still root after becoming user \"%s\"", user);
	return 0;
}
