/*
 * policy - what every TLS context of ours has in common, and the recommendations by Mozilla's names
 * (Server Side TLS 5.7) for those that serve.
 */
#ifndef PROXY_TLS_POLICY_H
#define PROXY_TLS_POLICY_H

#include <openssl/types.h>

#include "weir/settings.h"

/* No compression, no renegotiation, no early data; TLS 1.2 at least. */
void tls_policy_common(SSL_CTX *ctx);
/* Versions, ciphers and groups of a listener. 0, or -1 with *e. */
int tls_policy_apply(SSL_CTX *ctx, enum tls_policy policy, enum tls_minimum minimum, struct err *e);

#endif
