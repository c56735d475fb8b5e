#include "config.h"

#include "unit.h"

#include "proxy/mail.h"

static void add_fields(struct mail *m)
{
	ck_assert(mail_insert_field(m, 99, SLICE("Subject: one\r\n")));
	ck_assert(mail_insert_field(m, 99, SLICE("To : two\r\n three\r\n")));
	ck_assert(mail_insert_field(m, 0, SLICE("Received: x\r\n")));
	ck_assert(mail_insert_field(m, 2, SLICE("X-Mid:\r\n")));
}

static struct slice name(const struct mail *m, size_t i)
{
	return slice_of(m->fields[i].line, m->fields[i].name_n);
}

static struct slice value(const struct mail *m, size_t i)
{
	return slice_of(
	    m->fields[i].line + m->fields[i].value, m->fields[i].n - m->fields[i].value);
}

START_TEST(fields)
{
	struct mail m = { 0 };

	add_fields(&m);
	ck_assert_uint_eq(m.field_count, 4);
	ck_assert_slice_eq(name(&m, 0), "Received");
	ck_assert_slice_eq(name(&m, 1), "Subject");
	ck_assert_slice_eq(value(&m, 1), " one\r\n");
	ck_assert_slice_eq(name(&m, 2), "X-Mid");
	ck_assert_slice_eq(value(&m, 2), "\r\n");
	ck_assert_slice_eq(name(&m, 3), "To");
	ck_assert_slice_eq(value(&m, 3), " two\r\n three\r\n");
	m.separator = true;
	ck_assert_uint_eq(mail_size(&m), 13 + 14 + 8 + 18 + 2);

	ck_assert(mail_change_field(&m, 1, SLICE("Subject: other\r\n")));
	ck_assert_slice_eq(value(&m, 1), " other\r\n");
	mail_remove_field(&m, 0);
	mail_remove_field(&m, 7);
	ck_assert(!mail_change_field(&m, 7, SLICE("A: b\r\n")));
	ck_assert_uint_eq(m.field_count, 3);
	ck_assert_slice_eq(name(&m, 2), "To");
	mail_free(&m);
	ck_assert_uint_eq(m.field_count, 0);
}
END_TEST

static const struct {
	const char *remove;
	size_t gone;
} removals[] = {
	{ "a@x.test", 2 },
	{ "a@X.TEST", 2 },
	{ "A@x.test", 0 },
	{ "postmaster", 1 },
	{ "Postmaster", 0 },
	{ "", 0 },
	{ "x.test", 0 },
};
START_TEST(recipients)
{
	struct mail m = { 0 };

	ck_assert(mail_set_reverse_path(&m, SLICE(""), SLICE("")));
	ck_assert(mail_set_reverse_path(&m, SLICE("s@x"), SLICE("SIZE=1")));
	ck_assert_str_eq(m.reverse_path, "s@x");
	ck_assert_str_eq(m.parameters, "SIZE=1");
	ck_assert(mail_add_recipient(&m, SLICE("a@x.test"), SLICE("NOTIFY=NEVER")));
	ck_assert(mail_add_recipient(&m, SLICE("postmaster"), SLICE("")));
	ck_assert(mail_add_recipient(&m, SLICE("b@x.test"), SLICE("")));
	ck_assert(mail_add_recipient(&m, SLICE("a@x.Test"), SLICE("")));
	ck_assert_uint_eq(
	    mail_remove_recipient(&m, slice_z(removals[_i].remove)), removals[_i].gone);
	ck_assert_uint_eq(m.recipient_count, 4 - removals[_i].gone);
	mail_drop_recipient(&m);
	ck_assert_uint_eq(m.recipient_count, 3 - removals[_i].gone);
	mail_free(&m);
	mail_drop_recipient(&m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mail");
	TCase *tc = tcase_create("mail");

	tcase_add_test(tc, fields);
	tcase_add_loop_test(tc, recipients, 0, COUNT(removals));
	suite_add_tcase(s, tc);
	return unit_run(s);
}
