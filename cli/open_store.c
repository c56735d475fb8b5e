#include "config.h"

#include "open_store.h"

#include <pwd.h>
#include <unistd.h>

#include "weir/file.h"

/* A folder that root makes is of no use to the daemon unless it is the daemon's. */
static int folder_for_user(const struct milterd_settings *m, struct err *e)
{
	const char *folder = m->store + sizeof("lmdb:") - 1;
	const struct passwd *user;

	if (geteuid() != 0 || access(folder, F_OK) == 0 || m->user[0] == '\0' ||
	    (user = getpwnam(m->user)) == NULL)
		return 0;
	return folder_make_for(folder, user->pw_uid, user->pw_gid, e);
}

int open_store(struct cli *c, struct store **s, struct bayes **b)
{
	const struct milterd_settings *m = &c->settings.milterd;
	struct err e;

	*s = NULL;
	*b = NULL;
	if (cli_load(c) != CLI_OK)
		return CLI_DATA;
	if (folder_for_user(m, &e) == 0 &&
	    (*s = store_open(m->store, (uint64_t)m->store_bytes, 0, &e)) != NULL &&
	    (*b = bayes_open(*s, &e)) != NULL)
		return CLI_OK;
	store_close(s);
	return cli_fail(CLI_IO, "%s", e.text);
}

void close_store(struct store **s, struct bayes **b)
{
	bayes_close(b);
	store_close(s);
}
