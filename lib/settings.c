#include "config.h"

#include "weir/settings.h"

#include <stdlib.h>
#include <unistd.h>

#include "settings_tables.h"
#include "weir/file.h"

/* A file that was not given counts as {}. */
static int read_file(const char *path, struct json_file *j, struct findings *f)
{
	return path != NULL ? json_file_read(path, JSON_FILE_MAX, j, f)
			    : json_file_parse("(defaults)", SLICE("{}"), j, f);
}

static int check_sections(const struct json_file *j, struct findings *f)
{
	static const char *const sections[] = { "proxy", "milterd", "log" };
	const char *key;
	json_t *value;

	if (!json_is_object(j->root))
		return json_finding(f, FINDING_ERROR, j, "", false, "must be an object");
	json_object_foreach(j->root, key, value)
	{
		const char *like = nearest(slice_z(key), sections, COUNT(sections));
		char pointer[256];
		struct buf b = BUF_ON(pointer);
		bool known = json_comment(key);

		for (size_t i = 0; i < COUNT(sections); i++)
			known |= strcmp(key, sections[i]) == 0;
		pointer[0] = '\0';
		json_pointer_add(&b, slice_z(key));
		if (!known)
			json_finding(f, FINDING_ERROR, j, pointer, true, "unknown section%s%s%s",
			    like != NULL ? " (did you mean \"" : "", like != NULL ? like : "",
			    like != NULL ? "\"?)" : "");
	}
	return 0;
}

static int check_log(const struct settings *s, struct findings *f)
{
	static const char *const levels[] = { "debug", "info", "warn", "error" };
	bool known = false;

	for (size_t i = 0; i < COUNT(levels); i++)
		known |= strcmp(levels[i], s->log.level) == 0;
	if (!known)
		json_finding(f, FINDING_ERROR, &s->file, "/log/level", false,
		    "must be one of debug|info|warn|error, not \"%s\"", s->log.level);
	if (strcmp(s->log.format, "text") != 0 && strcmp(s->log.format, "json") != 0)
		json_finding(f, FINDING_ERROR, &s->file, "/log/format", false,
		    "must be text or json, not \"%s\"", s->log.format);
	return 0;
}

static void check_servers(const struct settings *s, const struct backend_settings *b,
    struct buf pointer, struct findings *f)
{
	size_t stem = pointer.n;

	for (size_t k = 0; k < b->servers.n; k++) {
		struct endpoint ep;
		struct err e;

		pointer.n = stem;
		buf_addf(&pointer, "/servers/%zu", k);
		if (endpoint_parse(slice_z(b->servers.v[k]), &ep, &e) < 0)
			json_finding(f, FINDING_ERROR, &s->file, pointer.p, false, "%s", e.text);
	}
}

/* Mail for all recipients goes to "default"; another backend waits for routes to be there. */
static void check_backends(const struct settings *s, struct findings *f)
{
	const struct backend_settings *b = s->proxy.backends.v;
	size_t n = s->proxy.backends.n;
	bool has_default = false;

	for (size_t i = 0; i < n; i++)
		has_default |= strcmp(b[i].name, "default") == 0;
	if (!has_default)
		json_finding(f, FINDING_ERROR, &s->file, "/proxy/backends", false,
		    "a backend \"default\" must be given");
	for (size_t i = 0; i < n; i++) {
		char text[256] = "";
		struct buf pointer = BUF_ON(text);

		buf_add(&pointer, SLICE("/proxy/backends"));
		json_pointer_add(&pointer, slice_z(b[i].name));
		if (strcmp(b[i].name, "default") != 0)
			json_finding(f, FINDING_WARNING, &s->file, text, true,
			    "no mail goes to this backend: only \"default\" is used");
		check_servers(s, &b[i], pointer, f);
		buf_add(&pointer, SLICE("/identity_required"));
		if (b[i].identity_required && b[i].identity == IDENTITY_NONE)
			json_finding(f, FINDING_WARNING, &s->file, text, true,
			    "not used: \"identity\" is none");
	}
}

static bool is_address(const struct endpoint *ep)
{
	struct address a;

	return !ep->local && address_parse(slice_z(ep->host), &a, NULL) == 0;
}

/* A name server that is given by name would have to be looked up. */
static void check_dns(const struct settings *s, struct findings *f)
{
	const struct conf_strs *servers = &s->proxy.dns_servers;

	for (size_t i = 0; i < servers->n; i++) {
		char pointer[64];
		struct endpoint ep;
		struct address a;

		(void)snprintf(pointer, sizeof(pointer), "/proxy/dns/servers/%zu", i);
		if (address_parse(slice_z(servers->v[i]), &a, NULL) < 0 &&
		    (endpoint_parse(slice_z(servers->v[i]), &ep, NULL) < 0 || !is_address(&ep)))
			json_finding(f, FINDING_ERROR, &s->file, pointer, false,
			    "must be ADDRESS, ADDRESS:PORT or [v6]:PORT, not \"%s\"",
			    servers->v[i]);
	}
}

/* Who is trusted to say for whom he speaks says what he likes. */
static void check_trust(const struct settings *s, size_t listener, const char *setting,
    const struct conf_networks *from, struct findings *f)
{
	for (size_t i = 0; i < from->n; i++) {
		char pointer[96];

		(void)snprintf(pointer, sizeof(pointer), "/proxy/listen/%zu/%s/from/%zu", listener,
		    setting, i);
		if (from->v[i].prefix == 0)
			json_finding(f, FINDING_WARNING, &s->file, pointer, false,
			    "everybody may say who he is: name the networks of those you trust");
		if (from->v[i].base.family == AF_INET && from->v[i].prefix == 32 &&
		    from->v[i].base.octets[3] == 0)
			json_finding(f, FINDING_WARNING, &s->file, pointer, false,
			    "is a single address: a network has its bits behind it, as in /24");
	}
}

static bool same_socket(const struct endpoint *a, const struct endpoint *b)
{
	return a->local && b->local && strcmp(a->path, b->path) == 0;
}

static bool same_place(const struct endpoint *a, const struct endpoint *b)
{
	return a->local
	    ? same_socket(a, b)
	    : !b->local && a->port != 0 && a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* Without an address there is nobody to trust. */
static void check_listeners(const struct settings *s, struct findings *f)
{
	const struct listen_settings *l = s->proxy.listen.v;

	for (size_t i = 0; i < s->proxy.listen.n; i++) {
		char pointer[64];

		check_trust(s, i, "proxy_protocol", &l[i].proxy_from, f);
		check_trust(s, i, "xclient", &l[i].xclient_from, f);
		(void)snprintf(pointer, sizeof(pointer), "/proxy/listen/%zu/address", i);
		for (size_t k = 0; k < i; k++)
			if (same_place(&l[k].address, &l[i].address))
				json_finding(f, FINDING_ERROR, &s->file, pointer, false,
				    "is that of /proxy/listen/%zu, too", k);
		if (l[i].address.local && (l[i].proxy_from.n > 0 || l[i].xclient_from.n > 0))
			json_finding(f, FINDING_ERROR, &s->file, pointer, false,
			    "proxy_protocol and xclient are for TCP: clients of a Unix socket "
			    "have no address to trust them by");
	}
}

static bool octal(int64_t digits)
{
	while (digits > 0 && digits % 10 < 8)
		digits /= 10;
	return digits == 0;
}

/* Whoever comes second would take the first one's place. */
static void check_sockets(const struct settings *s, struct findings *f)
{
	const struct milterd_settings *m = &s->milterd;

	if (!octal(m->socket_mode))
		json_finding(f, FINDING_ERROR, &s->file, "/milterd/socket_mode", false,
		    "must be octal digits, as in 660, not %lld", (long long)m->socket_mode);
	if (same_socket(&m->control, &m->socket))
		json_finding(f, FINDING_ERROR, &s->file, "/milterd/control", false,
		    "must not be that of /milterd/socket");
	if (same_socket(&s->proxy.control, &m->control))
		json_finding(f, FINDING_ERROR, &s->file, "/proxy/control", false,
		    "must not be that of /milterd/control");
}

/* What no single row can know. Only called when the rows are sound. */
static void check_whole(const struct settings *s, struct findings *f)
{
	check_log(s, f);
	check_backends(s, f);
	check_sockets(s, f);
	settings_check_auth(s, f);
	check_listeners(s, f);
	check_dns(s, f);
	settings_tls_check(s, f);
	if (strncmp(s->milterd.store, "lmdb:", 5) != 0 || s->milterd.store[5] == '\0')
		json_finding(f, FINDING_ERROR, &s->file, "/milterd/store", false,
		    "must be lmdb:FOLDER, not \"%s\"", s->milterd.store);
	if (s->proxy.limits.errors_hard < s->proxy.limits.errors_soft)
		json_finding(f, FINDING_ERROR, &s->file, "/proxy/limits/errors_hard", false,
		    "is %lld, and must not be less than errors_soft (%lld)",
		    (long long)s->proxy.limits.errors_hard, (long long)s->proxy.limits.errors_soft);
	if (s->proxy.limits.header_bytes > s->proxy.limits.message_bytes)
		json_finding(f, FINDING_WARNING, &s->file, "/proxy/limits/header_bytes", false,
		    "is more than message_bytes");
	if (s->proxy.limits.aborted_bytes > 0 &&
	    s->proxy.limits.aborted_bytes < s->proxy.limits.message_bytes)
		json_finding(f, FINDING_WARNING, &s->file, "/proxy/limits/aborted_bytes", false,
		    "is less than message_bytes (%lld): a client that loses its connection once in "
		    "a large message is sent away; 0 turns the limit off",
		    (long long)s->proxy.limits.message_bytes);
}

int settings_anchor(char **text, const char *prefix, const char *folder, struct findings *f)
{
	size_t skip = strncmp(*text, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;
	struct bytes b = { 0 };

	if (folder == NULL || (*text)[skip] == '/' || (*text)[skip] == '\0')
		return 0;
	if (!bytes_addf(&b, "%.*s%s/%s", (int)skip, *text, folder, *text + skip)) {
		bytes_free(&b);
		return findings_add(f, FINDING_ERROR, "out of memory");
	}
	free(*text);
	*text = bytes_take(&b);
	return 0;
}

static int anchor_socket(struct endpoint *ep, const char *folder, struct findings *f)
{
	char joined[sizeof(ep->path)];

	if (!ep->local || folder == NULL || ep->path[0] == '/')
		return 0;
	if ((size_t)snprintf(joined, sizeof(joined), "%s/%s", folder, ep->path) >= sizeof(joined))
		return findings_add(f, FINDING_ERROR,
		    "unix:%s/%s: a socket path has at most %zu octets", folder, ep->path,
		    sizeof(joined) - 1);
	memcpy(ep->path, joined, sizeof(joined));
	return 0;
}

/* A socket's path, with its folder, must fit where the system wants it. */
static void anchor_auth(struct settings *s, size_t i, const char *folder, struct findings *f)
{
	struct listen_settings *l = (struct listen_settings *)s->proxy.listen.v + i;
	size_t room = sizeof(((struct endpoint *)NULL)->path);
	char pointer[64];

	if (strncmp(l->auth, "dovecot:", 8) != 0)
		return;
	(void)snprintf(pointer, sizeof(pointer), "/proxy/listen/%zu/auth", i);
	settings_anchor(&l->auth, "dovecot:", folder, f);
	if (strlen(l->auth + 8) >= room)
		json_finding(f, FINDING_ERROR, &s->file, pointer, false,
		    "%s: a socket path has at most %zu octets", l->auth + 8, room - 1);
}

static char *folder_of(const char *path)
{
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;

	if (path == NULL)
		return NULL;
	return slash == NULL ? slice_dup(SLICE("."))
			     : slice_dup(slice_of(path, (size_t)(slash - path)));
}

static void anchor_paths(struct settings *s, const char *path, struct findings *f)
{
	char *folder = folder_of(path);
	struct filter_settings *filter = s->proxy.filters.v;
	struct listen_settings *listen = s->proxy.listen.v;

	settings_anchor(&s->milterd.rules, "", folder, f);
	settings_anchor(&s->milterd.store, "lmdb:", folder, f);
	settings_anchor(&s->milterd.antivirus.database, "", folder, f);
	settings_anchor(&s->milterd.antivirus.scanner, "", folder, f);
	settings_anchor(&s->proxy.spool.directory, "", folder, f);
	if (strcmp(s->log.to, "stderr") != 0 && strcmp(s->log.to, "syslog") != 0)
		settings_anchor(&s->log.to, "", folder, f);
	anchor_socket(&s->milterd.socket, folder, f);
	anchor_socket(&s->milterd.control, folder, f);
	anchor_socket(&s->proxy.control, folder, f);
	for (size_t i = 0; i < s->proxy.filters.n; i++)
		anchor_socket(&filter[i].socket, folder, f);
	for (size_t i = 0; i < s->proxy.listen.n; i++) {
		anchor_socket(&listen[i].address, folder, f);
		anchor_auth(s, i, folder, f);
	}
	settings_anchor(&s->proxy.sasl.sasldb, "", folder, f);
	settings_anchor(&s->proxy.sasl.saslauthd, "", folder, f);
	settings_anchor(&s->proxy.sasl.oauth.client_secret_file, "", folder, f);
	settings_anchor(&s->proxy.sasl.oauth.ca_file, "", folder, f);
	settings_tls_anchor(&s->proxy, folder, f);
	free(folder);
}

/* The machine's name where none is configured. */
static void name_host(struct proxy_settings *p, struct findings *f)
{
	char name[256] = "";

	if (p->hostname[0] != '\0')
		return;
	if (gethostname(name, sizeof(name) - 1) < 0 || name[0] == '\0')
		(void)snprintf(name, sizeof(name), "localhost");
	free(p->hostname);
	if ((p->hostname = slice_dup(slice_z(name))) == NULL)
		findings_add(f, FINDING_ERROR, "out of memory");
}

int settings_load(const char *path, struct settings *out, struct findings *f)
{
	json_t *root, *proxy, *milterd;
	size_t errors = f->errors;

	*out = (struct settings){ 0 };
	if (read_file(path, &out->file, f) < 0 || check_sections(&out->file, f) < 0)
		return -1;
	root = out->file.root;
	proxy = json_object_get(root, "proxy");
	milterd = json_object_get(root, "milterd");
	out->has_proxy = proxy != NULL;
	out->has_milterd = milterd != NULL;
	conf_load(&proxy_table, &out->file, "/proxy", proxy, &out->proxy, f);
	conf_load(&milterd_table, &out->file, "/milterd", milterd, &out->milterd, f);
	conf_load(&log_table, &out->file, "/log", json_object_get(root, "log"), &out->log, f);
	if (f->errors > errors)
		return -1;
	check_whole(out, f);
	anchor_paths(out, path, f);
	name_host(&out->proxy, f);
	return f->errors > errors ? -1 : 0;
}

void settings_free(struct settings *s)
{
	conf_free(&proxy_table, &s->proxy);
	conf_free(&milterd_table, &s->milterd);
	conf_free(&log_table, &s->log);
	json_file_free(&s->file);
}

void settings_show(const struct settings *s, FILE *to)
{
	conf_show(&proxy_table, &s->file, "/proxy", json_object_get(s->file.root, "proxy"), to);
	conf_show(
	    &milterd_table, &s->file, "/milterd", json_object_get(s->file.root, "milterd"), to);
	conf_show(&log_table, &s->file, "/log", json_object_get(s->file.root, "log"), to);
}

void settings_manual(FILE *to)
{
	conf_manual(&proxy_table, "proxy/", to);
	conf_manual(&milterd_table, "milterd/", to);
	conf_manual(&log_table, "log/", to);
}
