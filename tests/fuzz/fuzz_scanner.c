/* Packets of a hostile scanner: the first octet says whether they reach the daemon as a worker's
 * answer or as a master's notice. */
#include "config.h"

#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milterd/scanner/channel.h"
#include "milterd/scanner_job.h"
#include "milterd/scanner_process.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void printable(const char *text, size_t room)
{
	const size_t n = strnlen(text, room);

	assert(n < room);
	for (size_t i = 0; i < n; i++)
		assert(text[i] >= ' ' && text[i] <= '~');
}

static void answer(const uint8_t *p, size_t n, int pair[2])
{
	struct scan_result r = { .found = false };
	struct scanner_answer a;

	(void)channel_send(pair[0], p, n, -1, MSG_DONTWAIT);
	if (channel_receive(pair[1], &a, sizeof(a), NULL, MSG_DONTWAIT) != 1)
		return;
	if (!job_answer(&a, 1, &r))
		return;
	printable(r.name, sizeof(r.name));
	printable(r.error, sizeof(r.error));
	assert(r.found == (r.name[0] != '\0'));
	assert(!(r.found && r.error[0] != '\0'));
}

static void notice(const uint8_t *p, size_t n, int pair[2], bool with_fd)
{
	const struct process process = { .fd = pair[1] };
	struct scanner_notice note;
	int worker = -1;

	(void)channel_send(pair[0], p, n, with_fd ? STDIN_FILENO : -1, MSG_DONTWAIT);
	if (process_hear(&process, &note, &worker) != 1)
		return;
	assert(strnlen(note.text, sizeof(note.text)) < sizeof(note.text));
	assert((note.kind == SCANNER_WORKER) == (worker >= 0));
	if (worker >= 0)
		close(worker);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	int pair[2];

	if (n < 1 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return 0;
	if ((p[0] & 1) == 0)
		answer(p + 1, n - 1, pair);
	else
		notice(p + 1, n - 1, pair, (p[0] & 2) != 0);
	close(pair[0]);
	close(pair[1]);
	return 0;
}
