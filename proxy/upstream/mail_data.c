#include "config.h"

#include "mail_data.h"

void mail_data_begin(struct mail_data *d, const struct mail *m, enum mail_data_form form)
{
	*d = (struct mail_data){ .mail = m, .form = form };
}

/* The size stands in front: what follows is exactly that, or the connection is given up. */
static void announce(struct mail_data *d, struct bytes *out)
{
	char line[48];
	struct buf b = BUF_ON(line);

	if (d->form != MAIL_DATA_CHUNK || d->announced)
		return;
	d->announced = true;
	buf_add(&b, SLICE("BDAT "));
	buf_addu(&b, mail_size(d->mail), 1);
	buf_add(&b, SLICE(" LAST\r\n"));
	(void)bytes_add(out, buf_slice(&b));
}

static void add(struct mail_data *d, struct slice octets, struct bytes *out)
{
	if (d->form == MAIL_DATA_CHUNK)
		(void)bytes_add(out, octets);
	else
		smtp_data_encode(&d->encoder, octets, out);
}

/* The header section, and the line behind it. True when all of it is made. */
static bool add_header(struct mail_data *d, struct bytes *out)
{
	const struct mail *m = d->mail;

	while (d->field < m->field_count && out->n < MAIL_DATA_STEP) {
		const struct mail_field *f = &m->fields[d->field++];

		add(d, slice_of(f->line, f->n), out);
	}
	if (d->field < m->field_count)
		return false;
	if (m->separator && !d->separator)
		add(d, SLICE("\r\n"), out);
	d->separator = true;
	return true;
}

static bool body_left(const struct mail_data *d)
{
	return d->mail->body != NULL && d->offset < spool_size(d->mail->body);
}

/* A piece of a body that has to be encoded. */
static int add_body(struct mail_data *d, struct bytes *out, struct err *e)
{
	char octets[MAIL_DATA_STEP];
	struct slice piece;

	while (out->n < MAIL_DATA_STEP && body_left(d)) {
		if (spool_read(d->mail->body, d->offset, octets, sizeof(octets), &piece, e) < 0)
			return -1;
		d->offset += piece.n;
		add(d, piece, out);
	}
	return 0;
}

/* A piece that goes as it is: where it lies, or from the file to the end of out. */
static int take_body(struct mail_data *d, struct bytes *out, struct slice *piece, struct err *e)
{
	if (!bytes_reserve(out, MAIL_DATA_STEP))
		return 0; /* out->failed tells */
	if (spool_read(d->mail->body, d->offset, out->p + out->n, MAIL_DATA_STEP, piece, e) < 0)
		return -1;
	d->offset += piece->n;
	if (piece->p == out->p + out->n) {
		out->n += piece->n;
		piece->n = 0;
	}
	return 0;
}

static bool goes_as_it_is(const struct mail_data *d)
{
	return d->form == MAIL_DATA_CHUNK || spool_plain(d->mail->body);
}

int mail_data_step(
    struct mail_data *d, struct bytes *out, struct slice parts[MAIL_DATA_PARTS], struct err *e)
{
	struct slice piece = { 0 }, end = { 0 };
	int rc = 0;

	announce(d, out);
	if (add_header(d, out)) {
		if (body_left(d))
			rc = goes_as_it_is(d) ? take_body(d, out, &piece, e) : add_body(d, out, e);
		d->ended = rc == 0 && !body_left(d);
	}
	if (d->ended && d->form == MAIL_DATA_DOT && piece.n > 0)
		end = SLICE(".\r\n"); /* what goes as it is ends with a line */
	else if (d->ended && d->form == MAIL_DATA_DOT)
		smtp_data_encode_end(&d->encoder, out);
	if (rc == 0 && out->failed)
		rc = err_set(e, "out of memory");
	d->ended &= rc == 0;
	parts[0] = bytes_slice(out);
	parts[1] = piece;
	parts[2] = end;
	return rc;
}
