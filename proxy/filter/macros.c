#include "config.h"

#include "proxy/filter/macros.h"

#include <stdlib.h>

enum { LIST_MAX = 100 }; /* names of one stage; Sendmail stops at 50 */

/* What Postfix and Sendmail send by default, and what filters ask for in their manuals. */
static const struct stage_macros {
	enum milter_command command;
	const char *names;
} defaults[MILTER_STAGES] = {
	[MILTER_STAGE_CONNECT] = { MILTER_CONNECT,
	    "j _ v {daemon_name} {daemon_addr} {daemon_port} {if_addr} {client_addr} {client_name} "
	    "{client_ptr} {client_port} {client_resolve}" },
	[MILTER_STAGE_HELO] = { MILTER_HELO,
	    "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer} {cert_fp} {verify} "
	    "{tls_sni}" },
	[MILTER_STAGE_MAIL] = { MILTER_MAIL,
	    "i {auth_type} {auth_authen} {auth_author} {mt_priority} {mail_addr} {mail_host} "
	    "{mail_mailer} "
	    "{weir_findings} {weir_unique_id}" },
	[MILTER_STAGE_RCPT] = { MILTER_RCPT, "i {rcpt_addr} {rcpt_host} {rcpt_mailer}" },
	[MILTER_STAGE_DATA] = { MILTER_DATA, "i" },
	[MILTER_STAGE_END] = { MILTER_END, "i {weir_findings}" },
	[MILTER_STAGE_EOH] = { MILTER_EOH, "i" },
};

/* "{i}" and "i" are one name. */
static struct slice bare(struct slice name)
{
	return name.n == 3 && name.p[0] == '{' && name.p[2] == '}' ? slice_sub(name, 1, 1) : name;
}

static struct macro *find(const struct macros *m, struct slice name)
{
	name = bare(name);
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].name_n == name.n && memcmp(m->v[i].name, name.p, name.n) == 0)
			return &m->v[i];
	return NULL;
}

static struct macro *append(struct macros *m, struct slice name)
{
	if (m->n == m->cap) {
		size_t cap = m->cap > 0 ? m->cap * 2 : 16;
		struct macro *grown = realloc(m->v, cap * sizeof(*grown));

		if (grown == NULL)
			return NULL;
		m->v = grown;
		m->cap = cap;
	}
	name = bare(name);
	m->v[m->n] = (struct macro){ .name = slice_dup(name), .name_n = name.n };
	return m->v[m->n].name != NULL ? &m->v[m->n++] : NULL;
}

bool macros_set(struct macros *m, struct slice name, struct slice value)
{
	struct macro *one = find(m, name);
	char *copy = NULL;

	if (one == NULL && value.p == NULL)
		return true;
	if (value.p != NULL && (copy = slice_dup(value)) == NULL)
		return false;
	if (one == NULL && (one = append(m, name)) == NULL) {
		free(copy);
		return false;
	}
	free(one->value);
	one->value = copy;
	return true;
}

struct slice macros_get(const struct macros *m, struct slice name)
{
	const struct macro *one = find(m, name);

	return slice_z(one != NULL ? one->value : NULL);
}

bool macros_put(
    const struct macros *m, enum milter_stage stage, struct slice list, struct bytes *out)
{
	struct milter_macros packet = milter_macros_open(out, defaults[stage].command);
	struct slice names = list.p != NULL ? list : slice_z(defaults[stage].names);

	for (size_t i = 0; i < LIST_MAX && names.n > 0; i++) {
		size_t n = 0;
		struct slice name;
		const struct macro *one;

		while (n < names.n && names.p[n] != ' ' && names.p[n] != ',')
			n++;
		name = slice_sub(names, 0, n);
		names = slice_sub(names, n + 1, names.n);
		if (name.n > 0 && (one = find(m, name)) != NULL)
			milter_macros_add(out, &packet, name,
			    one->value != NULL ? slice_z(one->value) : SLICE(""));
	}
	return milter_macros_close(out, &packet);
}

void macros_free(struct macros *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->v[i].name);
		free(m->v[i].value);
	}
	free(m->v);
	*m = (struct macros){ 0 };
}
