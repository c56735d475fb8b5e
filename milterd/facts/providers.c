#include "config.h"

#include "provide.h"

/* Every provider of the program. A new one is a file of its own and a line here. */
const struct provider *const providers[] = {
	&client_provider,
	&helo_provider,
	&envelope_provider,
	&header_provider,
	&body_provider,
	&urls_provider,
	&attachments_provider,
	&virus_provider,
	&bayes_provider,
	NULL,
};
