#include "config.h"

#include "examine.h"

/* Who sent a message whose envelope is lost. The text is copied into x's arena. */
static struct slice reverse_path(struct exam *x, struct slice file)
{
	struct message m;
	struct header_field *f;
	struct mailbox *box;
	struct slice path = SLICE("");
	size_t n = 0;

	message_start(&m, MESSAGE_HEADER_MAX);
	(void)message_raw(&m, file);
	if ((f = message_find(&m, SLICE("return-path"), 0)) != NULL)
		path = slice_trim(header_value(&m, f));
	else if ((f = message_find(&m, SLICE("from"), 0)) != NULL &&
	    (box = message_mailboxes(&m, f, &n)) != NULL && n > 0)
		path = box[0].address;
	path = arena_copy(exam_arena(x), path);
	message_free(&m);
	return path;
}

/* False when every recipient was refused: then that is the verdict. */
static bool give_recipients(struct exam *x, const struct envelope *e)
{
	size_t accepted = 0;

	for (size_t i = 0; i < e->recipient_count; i++) {
		struct slice reply;
		bool tempfail;

		accepted += !exam_rcpt(x, slice_z(e->recipients[i]), &reply, &tempfail);
	}
	return accepted > 0 || e->recipient_count == 0;
}

void examine(struct exam *x, const struct envelope *e, struct slice file)
{
	struct slice from;

	if (exam_connect(x, &e->client) || (e->client.helo.n > 0 && exam_helo(x, e->client.helo)))
		return;
	from = e->from != NULL ? slice_z(e->from) : reverse_path(x, file);
	if (exam_mail(x, from, file.n, SLICE(""), SLICE("")) || !give_recipients(x, e) ||
	    exam_data(x))
		return;
	exam_raw(x, file);
	if (!exam_header_end(x))
		exam_end(x);
}
