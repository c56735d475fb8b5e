#include "config.h"

#include "mail_data.h"

void mail_data_begin(struct mail_data *d, const struct mail *m, enum mail_data_form form)
{
	*d = (struct mail_data){ .mail = m, .form = form };
}

/* The next piece of the content, which may lie in octets. 1: there is one; 0: that was all; -1: *e.
 */
static int next_piece(
    struct mail_data *d, char octets[MAIL_DATA_STEP], struct slice *piece, struct err *e)
{
	const struct mail *m = d->mail;

	if (d->field < m->field_count) {
		const struct mail_field *f = &m->fields[d->field++];

		*piece = slice_of(f->line, f->n);
		return 1;
	}
	if (m->separator && !d->separator) {
		d->separator = true;
		*piece = SLICE("\r\n");
		return 1;
	}
	if (m->body == NULL || d->offset >= spool_size(m->body))
		return 0;
	if (spool_read(m->body, d->offset, octets, MAIL_DATA_STEP, piece, e) < 0)
		return -1;
	d->offset += piece->n;
	return 1;
}

/* The size stands in front: what follows is exactly that, or the connection is given up. */
static void announce(struct mail_data *d, struct bytes *out)
{
	if (d->form != MAIL_DATA_CHUNK || d->announced)
		return;
	d->announced = true;
	(void)bytes_addf(out, "BDAT %llu LAST\r\n", (unsigned long long)mail_size(d->mail));
}

int mail_data_step(struct mail_data *d, struct bytes *out, struct err *e)
{
	char octets[MAIL_DATA_STEP];
	struct slice piece;
	int rc = 1;

	announce(d, out);
	while (out->n < MAIL_DATA_STEP && (rc = next_piece(d, octets, &piece, e)) > 0) {
		if (d->form == MAIL_DATA_CHUNK)
			(void)bytes_add(out, piece);
		else
			smtp_data_encode(&d->encoder, piece, out);
	}
	if (rc == 0 && d->form == MAIL_DATA_DOT)
		smtp_data_encode_end(&d->encoder, out);
	if (out->failed)
		return err_set(e, "out of memory");
	if (rc < 0)
		return -1;
	d->ended = rc == 0;
	return 0;
}
