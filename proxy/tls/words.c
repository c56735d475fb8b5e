#include "config.h"

#include "words.h"

#include <openssl/err.h>
#include <string.h>

const char *tls_words(void)
{
	unsigned long code = ERR_get_error();
	const char *words = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code))
						   : ERR_reason_error_string(code);

	ERR_clear_error();
	return code != 0 && words != NULL ? words : "TLS error";
}
