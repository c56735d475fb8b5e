#include "config.h"

#include "words.h"

#include <stdio.h>
#include <stdlib.h>

/* W101: an enhanced code of the reply's class where the backend gave none. */
static void complete(struct smtp_reply *reply, const char *good)
{
	const char *enhanced = reply->code / 100 == 2 ? good
	    : reply->code / 100 == 4                  ? "4.0.0"
						      : "5.0.0";

	if (reply->enhanced[0] == '\0')
		(void)snprintf(reply->enhanced, sizeof(reply->enhanced), "%s", enhanced);
}

void words_to_client(
    const struct smtp_reply *said, bool own, const char *good, struct relay_answer *a)
{
	int class = smtp_reply_class(said);

	a->backend_said = false;
	a->in_doubt = false;
	if (said->code == 421)
		smtp_reply_set(
		    &a->reply, 451, "4.3.2", "The mail server is going down, try again later");
	else if ((said->code == 530 || said->code == 535) && !own)
		smtp_reply_set(
		    &a->reply, 451, "4.3.5", "The mail server refuses this relay, try again later");
	else if (class != 2 && class != 4 && class != 5)
		smtp_reply_set(&a->reply, 451, "4.3.0",
		    "The mail server gave an unexpected answer, try again later");
	else {
		smtp_reply_copy(&a->reply, said);
		complete(&a->reply, good);
		a->backend_said = true;
	}
}

void refusal_clear(struct refusal *f)
{
	free(f->text);
	*f = (struct refusal){ 0 };
}

void refusal_set(struct refusal *f, int code, const char *enhanced, const char *text)
{
	char *copy = slice_dup(slice_z(text)); /* it may be the old one */

	refusal_clear(f);
	f->code = code;
	(void)snprintf(f->enhanced, sizeof(f->enhanced), "%s", enhanced);
	f->text = copy;
}

void words_of_refusal(const struct refusal *f, struct relay_answer *a)
{
	a->backend_said = f->backend_said;
	a->in_doubt = false;
	smtp_reply_set(&a->reply, f->code, f->enhanced, "%s",
	    f->text != NULL ? f->text : "The mail server refused");
}
