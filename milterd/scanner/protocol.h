/* SPDX-License-Identifier: 0BSD */
/*
 * protocol - what weir-milterd and weir-scanner say to each other, and nothing else.
 * This file, channel.c and scratch.c are 0BSD, so that the Apache-2.0 daemon and the GPL-2.0-only
 * scanner may both hold them without either licence reaching over the socket.
 *
 * Transport  SOCK_SEQPACKET socket pairs on one machine: one packet is one structure, its length is
 *            checked by whoever reads it; numbers are in host order. A packet of another length or
 *            version is an error of the peer, which then is replaced.
 * Master     the daemon's first socket (SCANNER_FD in the scanner). Master to daemon: notices, one
 *            LOADED or REFUSED first; then one WORKER for each worker, with its socket in
 *            SCM_RIGHTS. Daemon to master: orders. End of file ends the master.
 * Worker     one job at a time: a struct scanner_job with the message as a sealed memfd in
 *            SCM_RIGHTS, then one struct scanner_answer. End of file ends the worker.
 */
#ifndef WEIR_SCANNER_PROTOCOL_H
#define WEIR_SCANNER_PROTOCOL_H

#include <stdint.h>

#define SCANNER_PROTOCOL 1u
#define SCANNER_FD       3   /* the scanner's end of the master's socket */
#define SCANNER_NAME_MAX 256 /* of a signature's name or an error, NUL included */
#define SCANNER_TEXT_MAX 768 /* of the reason of a refusal, NUL included */
#define SCANNER_ARGS     10  /* argc: program, then the rows of enum scanner_argument */

/* Arguments of weir-scanner, in this order; all are there. */
enum scanner_argument {
	SCANNER_ARG_DATABASE = 1, /* absolute path */
	SCANNER_ARG_SCRATCH,      /* a private folder for temporary files; removed at the end */
	SCANNER_ARG_USER,         /* to become when root; "" stays */
	SCANNER_ARG_WORKERS,
	SCANNER_ARG_TIME_MS,
	SCANNER_ARG_SCAN_BYTES,
	SCANNER_ARG_FILE_BYTES,
	SCANNER_ARG_RECURSION,
	SCANNER_ARG_FILES,
};

enum scanner_notice_kind {
	SCANNER_LOADED = 1, /* value: signatures */
	SCANNER_REFUSED,    /* text: why; the master ends */
	SCANNER_WORKER,     /* value: its pid; the socket comes along */
};

struct scanner_notice {
	uint32_t version, kind, value;
	char text[SCANNER_TEXT_MAX]; /* NUL-terminated */
} __attribute__((packed));

enum scanner_order_kind {
	SCANNER_KILL = 1, /* value: the pid of a worker of this master that hangs or lies */
	SCANNER_DRAIN,    /* another master has taken over: replace no worker any more */
};

struct scanner_order {
	uint32_t version, kind, value;
} __attribute__((packed));

struct scanner_job {
	uint32_t version, reserved;
	uint64_t id;   /* comes back in the answer */
	uint64_t size; /* of the memfd */
} __attribute__((packed));

enum scanner_status {
	SCANNER_CLEAN = 1, /* code 0, name "" */
	SCANNER_VIRUS,     /* name: the signature's */
	SCANNER_ERROR,     /* name: what was wrong; the message was not scanned to its end */
};

struct scanner_answer {
	uint32_t version, status;
	uint64_t id;
	uint32_t code;               /* libclamav's */
	char name[SCANNER_NAME_MAX]; /* NUL-terminated, printable ASCII */
} __attribute__((packed));

#endif
