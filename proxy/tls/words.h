/*
 * words - OpenSSL's errors as one sentence.
 * Threads    OpenSSL's queue of errors is the thread's own.
 */
#ifndef PROXY_TLS_WORDS_H
#define PROXY_TLS_WORDS_H

/* The oldest error that waits ("no shared cipher", "wrong version number"); the queue is empty
 * afterwards. The text is nobody's to free. */
const char *tls_words(void);

#endif
