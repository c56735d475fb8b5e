/* SPDX-License-Identifier: 0BSD */
/*
 * channel - one packet over a SOCK_SEQPACKET socket, with at most one descriptor beside it.
 * Errors     -1 with errno; nothing is logged. Ownership  a descriptor sent stays the sender's, a
 * descriptor received is the receiver's. No signal is raised by a peer that is gone.
 */
#ifndef WEIR_SCANNER_CHANNEL_H
#define WEIR_SCANNER_CHANNEL_H

#include <stddef.h>
#include <sys/types.h>

/* Send n octets, and fd where it is not -1. flags: MSG_DONTWAIT or 0. 0, or -1 with errno. */
int channel_send(int to, const void *p, size_t n, int fd, int flags);
/* Receive one packet of exactly n octets. *fd is the descriptor that came along, close-on-exec, or
 * -1; fd may be NULL: then none is accepted. 1: read; 0: end of file; -1: errno, EBADMSG for a
 * packet of another length, with another number of descriptors, or none where one was not
 * accepted. */
int channel_receive(int from, void *p, size_t n, int *fd, int flags);

#endif
