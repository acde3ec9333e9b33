/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What daemons share that decide on one packet after the other: see daemon.c.
 */
#ifndef _DAEMON_H
#define _DAEMON_H

#include <libdivert/libdivert.h>

enum verdict {
	DROP,
	PASS,		/* as it is */
	CHANGED		/* as it is now */
};

/* Decide on a packet. There may be only the first bytes of it, aligned to 8:
 * divert_packet_parse_headers() is made for that.
 */
typedef enum verdict decide_t(void *data, size_t len,
			      const union divert_addr *addr);

/* Options and arguments of a daemon: "[-m MODE] PORT ..." Says where PORT is. */
int parse_options(int argc, char **argv, const char *usage);

/* Read packets from a port, and do as is decided, until the end. */
void run_daemon(const char *port, decide_t *decide);

#endif /* _DAEMON_H */
