#include "config.h"

#include "sasl_inside.h"

#include <stdlib.h>

struct task *sasl_task_of(const struct sasl_pool *p, const void *client, uint32_t id)
{
	struct task *t;

	LIST_FOREACH(t, &p->by_client[id % TASK_PLACES], by_client)
	if (t->id == id && t->client == client)
		return t;
	return NULL;
}

struct task *sasl_task_by_number(const struct sasl_pool *p, uint32_t number)
{
	struct task *t;

	LIST_FOREACH(t, &p->by_number[number % TASK_PLACES], by_number)
	if (t->number == number)
		return t;
	return NULL;
}

void sasl_unqueue(struct sasl_pool *p, struct task *t)
{
	if (t->state != TASK_QUEUED)
		return;
	if (t->helper != NULL) {
		TAILQ_REMOVE(&t->helper->queue, t, queue);
	} else {
		TAILQ_REMOVE(&p->kinds[t->kind].queue, t, queue);
		p->kinds[t->kind].queued--;
	}
}

void sasl_forget_line(struct bytes *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->n);
	bytes_free(b);
}

void sasl_task_free(struct sasl_pool *p, struct task *t)
{
	sasl_unqueue(p, t);
	if (t->helper != NULL) {
		t->helper->tasks--;
		if (t->helper->running == t)
			t->helper->running = NULL;
	}
	LIST_REMOVE(t, by_client);
	LIST_REMOVE(t, by_number);
	sasl_forget_line(&t->line);
	bytes_free(&t->head);
	free(t);
	p->tasks--;
}

void sasl_answer(struct sasl_pool *p, const struct task *t, const char *verb, struct slice rest)
{
	struct bytes line = { 0 };

	if (t->client == NULL)
		return;
	(void)bytes_addf(&line, "%s\t%u", verb, (unsigned)t->id);
	(void)bytes_add(&line, rest);
	(void)bytes_addc(&line, '\n');
	p->events->answer(t->client, t->id, bytes_slice(&line));
	bytes_free(&line);
}

void sasl_task_fail(struct sasl_pool *p, struct task *t, struct slice why)
{
	sasl_answer(p, t, "FAIL", why);
	sasl_task_free(p, t);
}

struct task *sasl_task_add(struct sasl_pool *p, void *client, uint32_t id, enum kind kind)
{
	struct task *t = p->tasks < TASKS_MAX ? calloc(1, sizeof(*t)) : NULL;

	if (t == NULL)
		return NULL;
	t->client = client;
	t->id = id;
	t->kind = kind;
	do
		t->number = ++p->next;
	while (t->number == 0 || sasl_task_by_number(p, t->number) != NULL);
	t->state = TASK_FIRST;
	LIST_INSERT_HEAD(&p->by_client[id % TASK_PLACES], t, by_client);
	LIST_INSERT_HEAD(&p->by_number[t->number % TASK_PLACES], t, by_number);
	p->tasks++;
	return t;
}
