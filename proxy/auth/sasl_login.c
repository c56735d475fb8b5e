#include "config.h"

#include "sasl_inside.h"

#include "proxy/auth/base64.h"

/* A password is not longer; LOGIN's goes on as PLAIN's. */
#define PASSWORD_MAX 4096

/* The whole question is there: to a helper with it. response.p NULL: the server begins. */
static void submit(struct sasl_pool *p, struct task *t, struct slice response)
{
	(void)bytes_addf(&t->line, "AUTH\t%u\t", (unsigned)t->number);
	(void)bytes_add(&t->line, bytes_slice(&t->head));
	if (response.p != NULL) {
		(void)bytes_add(&t->line, SLICE("\tresp="));
		(void)bytes_add(&t->line, response);
	}
	(void)bytes_addc(&t->line, '\n');
	if (t->line.failed)
		sasl_task_fail(p, t, SLICE("\ttemp"));
	else
		sasl_enqueue(p, t);
}

static void ask(struct sasl_pool *p, struct task *t, enum task_state state, struct slice base64)
{
	t->state = state;
	sasl_answer(p, t, "CONT", base64);
}

static void take_name(struct sasl_pool *p, struct task *t, struct slice base64)
{
	struct buf name = BUF_ON(t->name);

	t->name[0] = '\0';
	if (!base64_read(base64, &name) || memchr(t->name, '\0', name.n) != NULL)
		sasl_task_fail(p, t, SLICE(""));
	else
		ask(p, t, TASK_PASSWORD, SLICE("\tUGFzc3dvcmQ6"));
}

/* LOGIN is PLAIN in two answers: as PLAIN it needs no helper of its own while the client types. */
static void take_password(struct sasl_pool *p, struct task *t, struct slice base64)
{
	char octets[LOGIN_MAX + PASSWORD_MAX + 4] = "",
					       text[BASE64_MAX(LOGIN_MAX + PASSWORD_MAX + 4) + 1] =
						   "";
	struct buf plain = BUF_ON(octets), encoded = BUF_ON(text);

	buf_addc(&plain, '\0');
	buf_add(&plain, slice_z(t->name));
	buf_addc(&plain, '\0');
	if (!base64_read(base64, &plain)) {
		sasl_task_fail(p, t, SLICE(""));
	} else {
		base64_write(buf_slice(&plain), &encoded);
		submit(p, t, buf_slice(&encoded));
	}
	explicit_bzero(octets, sizeof(octets));
	explicit_bzero(text, sizeof(text));
}

void sasl_task_respond(struct sasl_pool *p, void *client, uint32_t id, struct slice base64)
{
	struct task *t = sasl_task_of(p, client, id);

	if (t == NULL)
		return;
	switch (t->state) {
	case TASK_FIRST:
		submit(p, t, base64.p != NULL ? base64 : SLICE(""));
		return;
	case TASK_NAME:
		take_name(p, t, base64);
		return;
	case TASK_PASSWORD:
		take_password(p, t, base64);
		return;
	case TASK_THINKING:
		(void)bytes_addf(
		    &t->line, "CONT\t%u\t%.*s\n", (unsigned)t->number, SLICE_ARG(base64));
		if (t->line.failed)
			sasl_task_fail(p, t, SLICE("\ttemp"));
		else
			sasl_enqueue(p, t);
		return;
	case TASK_QUEUED:
	case TASK_RUNNING:
		return;
	}
}

/* Without the response, which is the last field. */
static struct slice fields_before(struct slice fields, struct slice response)
{
	size_t at = response.p != NULL ? (size_t)(response.p - fields.p) : fields.n + 6;

	return slice_sub(fields, 0, at < 6 ? 0 : at - 6);
}

bool sasl_task_new(
    struct sasl_pool *p, void *client, uint32_t id, struct slice mechanism, struct slice fields)
{
	struct slice response = dovecot_value(fields, SLICE("resp"));
	bool login = p->login && slice_eq(mechanism, SLICE("LOGIN"));
	/* The client speaks first, and says all at once. */
	bool once = login || slice_eq(mechanism, SLICE("PLAIN")) ||
	    slice_eq(mechanism, SLICE("OAUTHBEARER")) || slice_eq(mechanism, SLICE("XOAUTH2"));
	struct task *t;

	if (sasl_task_of(p, client, id) != NULL)
		return false;
	if ((t = sasl_task_add(p, client, id, once ? POOL_CHECKS : POOL_DIALOGUES)) == NULL)
		return false;
	(void)bytes_add(&t->head, login ? SLICE("PLAIN") : mechanism);
	(void)bytes_addc(&t->head, '\t');
	(void)bytes_add(&t->head, fields_before(fields, response));
	if (login && response.p != NULL)
		take_name(p, t, response);
	else if (login)
		ask(p, t, TASK_NAME, SLICE("\tVXNlcm5hbWU6"));
	else if (once && response.p == NULL)
		ask(p, t, TASK_FIRST, SLICE("\t"));
	else
		submit(p, t, response);
	return true;
}

/* The answer to what is running has to be waited for. */
static void give_up(struct sasl_pool *p, struct task *t)
{
	t->client = NULL;
	if (t->state == TASK_RUNNING)
		return;
	if (t->helper != NULL)
		sasl_helper_forget(t->helper, t->number);
	sasl_task_free(p, t);
}

void sasl_task_cancel(struct sasl_pool *p, void *client, uint32_t id)
{
	struct task *t = sasl_task_of(p, client, id);

	if (t != NULL)
		give_up(p, t);
}

void sasl_task_cancel_all(struct sasl_pool *p, void *client)
{
	for (size_t i = 0; i < TASK_PLACES; i++) {
		struct task *t, *next;

		for (t = LIST_FIRST(&p->by_client[i]); t != NULL; t = next) {
			next = LIST_NEXT(t, by_client);
			if (t->client == client)
				give_up(p, t);
		}
	}
}
