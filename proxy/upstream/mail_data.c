#include "config.h"

#include "mail_data.h"

void mail_data_begin(struct mail_data *d, const struct mail *m)
{
	*d = (struct mail_data){ .mail = m };
}

/* Encode the next piece. 1: more to come; 0: that was all; -1: *e. */
static int step(struct mail_data *d, struct bytes *out, struct err *e)
{
	const struct mail *m = d->mail;
	char octets[MAIL_DATA_STEP];
	struct slice piece;

	if (d->field < m->field_count) {
		const struct mail_field *f = &m->fields[d->field++];

		smtp_data_encode(&d->encoder, slice_of(f->line, f->n), out);
		return 1;
	}
	if (m->separator && !d->separator) {
		d->separator = true;
		smtp_data_encode(&d->encoder, SLICE("\r\n"), out);
		return 1;
	}
	if (m->body == NULL || d->offset >= spool_size(m->body))
		return 0;
	if (spool_read(m->body, d->offset, octets, sizeof(octets), &piece, e) < 0)
		return -1;
	d->offset += piece.n;
	smtp_data_encode(&d->encoder, piece, out);
	return 1;
}

int mail_data_step(struct mail_data *d, struct bytes *out, struct err *e)
{
	int rc = 1;

	while (out->n < MAIL_DATA_STEP && (rc = step(d, out, e)) > 0)
		;
	if (rc == 0)
		smtp_data_encode_end(&d->encoder, out);
	if (out->failed)
		return err_set(e, "out of memory");
	if (rc < 0)
		return -1;
	d->ended = rc == 0;
	return 0;
}
