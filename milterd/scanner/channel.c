/* SPDX-License-Identifier: 0BSD */
#include "config.h"

#include "milterd/scanner/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS_MAX = 8 }; /* room for a liar's descriptors, so that all of them are closed */

union fd_room {
	char octets[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	struct cmsghdr align;
};

int channel_send(int to, const void *p, size_t n, int fd, int flags)
{
	struct iovec v = { .iov_len = n };
	union fd_room room = { .octets = { 0 } };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	ssize_t sent;

	memcpy(&v.iov_base, &p, sizeof(p)); /* sendmsg does not write through it */
	if (fd >= 0) {
		struct cmsghdr *c;

		m.msg_control = room.octets;
		m.msg_controllen = CMSG_SPACE(sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	do
		sent = sendmsg(to, &m, flags | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0 && (size_t)sent != n)
		errno = EMSGSIZE;
	return sent >= 0 && (size_t)sent == n ? 0 : -1;
}

/* All descriptors of a packet: the first to *first, the others are closed. How many there were. */
static int take_fds(struct msghdr *m, int *first)
{
	int n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0);
		     at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			if (n++ == 0)
				*first = fd;
			else
				close(fd);
		}
	}
	return n;
}

int channel_receive(int from, void *p, size_t n, int *fd, int flags)
{
	struct iovec v = { .iov_base = p, .iov_len = n };
	union fd_room room;
	struct msghdr m = { .msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = room.octets,
		.msg_controllen = sizeof(room.octets) };
	ssize_t got;
	int first = -1, count;

	if (fd != NULL)
		*fd = -1;
	do
		got = recvmsg(from, &m, flags | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -1;
	count = take_fds(&m, &first);
	if (got == 0 && count == 0)
		return 0;
	if ((size_t)got != n || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    count > (fd != NULL)) {
		if (first >= 0)
			close(first);
		errno = EBADMSG;
		return -1;
	}
	if (fd != NULL)
		*fd = first;
	return 1;
}
