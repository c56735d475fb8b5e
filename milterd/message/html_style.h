/*
 * html_style - does a style attribute hide its element? Only what it says plainly counts.
 */
#ifndef WEIR_MESSAGE_HTML_STYLE_H
#define WEIR_MESSAGE_HTML_STYLE_H

#include "weir/slice.h"

enum {
	HIDE_DISPLAY = 1,    /* display:none: nothing inside shows again */
	HIDE_VISIBILITY = 2, /* visibility:hidden: an inner element may be visible */
	HIDE_SIZE = 4        /* font-size:0: an inner element may have a size of its own */
};
/* What hides the element, when `hide` hides what it stands in. */
unsigned style_hide(struct slice style, unsigned hide);

#endif
