/*
 * edits - what one filter wants changed, kept until its final reply, then applied all or not at
 * all, as Postfix would (the semantics of its cleanup server).
 * Header fields  ADDHEADER appends. INSHEADER counts from 0 over the whole header section, own
 *            Received included (0: above it, 1: below; where the proxy adds none, as if one stood
 *            there). CHGHEADER counts from 1 among the fields of that name that filters see (0 is
 *            1), at once anew after each deletion; what is not there is appended, or for an empty
 *            value left alone. A value's lines that do not begin with white space get some: no
 *            filter starts a field by accident.
 * Body       REPLBODY packets without another edit between them are the new body.
 * Errors     edits_add: -1 when the filter asks for what cannot be done. edits_apply: -1 when the
 *            machine cannot (memory, a full disk); the mail is as it was.
 */
#ifndef PROXY_FILTER_EDITS_H
#define PROXY_FILTER_EDITS_H

#include "proxy/mail.h"
#include "weir/milter.h"
#include "weir/settings.h"

#define EDITS_MAX        16000   /* of one message; more than it may have fields */
#define EDITS_BYTES_MAX  8388608 /* of names, values and addresses */

#define QUARANTINE_FIELD "X-Weir-Quarantine"

struct edits;

/* settings: limits and spool; must outlive it. leading_space: values hold all that follows the
 * colon. NULL without memory. */
struct edits *edits_new(const struct proxy_settings *settings, bool leading_space);
void edits_free(struct edits **e);
/* Keep one edit; r may go. */
int edits_add(struct edits *edits, const struct milter_reply *r, struct err *e);
/* own_received: where the own Received field stands, or would stand; moves with what is put above.
 */
int edits_apply(struct edits *edits, struct mail *m, size_t *own_received, struct err *e);

/* Append "X-Weir-Quarantine: REASON" to m. False without memory. */
bool mail_mark_quarantine(struct mail *m, struct slice reason);

#endif
