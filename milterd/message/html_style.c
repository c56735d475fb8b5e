#include "config.h"

#include "milterd/message/html_style.h"

static unsigned display(struct slice value, unsigned hide)
{
	return slice_ieq(value, SLICE("none")) ? hide | HIDE_DISPLAY : hide;
}

static unsigned visibility(struct slice value, unsigned hide)
{
	if (slice_ieq(value, SLICE("hidden")) || slice_ieq(value, SLICE("collapse")))
		return hide | HIDE_VISIBILITY;
	return slice_ieq(value, SLICE("visible")) ? hide & ~(unsigned)HIDE_VISIBILITY : hide;
}

/* "0", "0px", "0.0em"; a size relative to a hidden one is hidden as well. */
static unsigned font_size(struct slice value, unsigned hide)
{
	size_t n = 0;
	bool zero = true;
	struct slice unit;

	for (; n < value.n && (ascii_digit(value.p[n]) || value.p[n] == '.'); n++)
		zero &= value.p[n] == '0' || value.p[n] == '.';
	unit = slice_sub(value, n, value.n);
	if (n > 0 && zero)
		return hide | HIDE_SIZE;
	if (slice_ieq(unit, SLICE("em")) || slice_ieq(unit, SLICE("ex")) ||
	    slice_eq(unit, SLICE("%")) || slice_ieq(unit, SLICE("inherit")))
		return hide;
	return hide & ~(unsigned)HIDE_SIZE;
}

static unsigned font(struct slice value, unsigned hide)
{
	(void)value;
	return hide & ~(unsigned)HIDE_SIZE;
}

unsigned style_hide(struct slice style, unsigned hide)
{
	static const struct {
		const char *name;
		unsigned (*read)(struct slice value, unsigned hide);
	} properties[] = {
		{ "display", display },
		{ "visibility", visibility },
		{ "font-size", font_size },
		{ "font", font },
	};

	while (style.n > 0) {
		struct slice value = slice_cut(&style, ';'),
			     name = slice_trim(slice_cut(&value, ':'));

		value = slice_trim(slice_cut(&value, '!')); /* !important */
		for (size_t i = 0; i < COUNT(properties); i++)
			if (slice_ieq(name, slice_z(properties[i].name)))
				hide = properties[i].read(value, hide);
	}
	return hide;
}
