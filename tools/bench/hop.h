/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the hops share: each is a daemon on the router that all packets from the
 * client to the server go through.
 */
#ifndef _HOP_H
#define _HOP_H

#include <netinet/ip.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench.h"

/* Packets a system call may move. */
#define HOP_BATCH	64
/* Room for the largest packet. */
#define HOP_PACKET_MAX	65536

/* Exit status: the running kernel lacks what this hop is made of. */
#define HOP_UNAVAILABLE	4

struct hop_options {
	bool		rewrite;
	const char	*mode;		/* what else the hop is asked to do */
};

void hop_options(struct hop_options *opt, int argc, char **argv,
		 const char *modes);
/* Is this one of the words, joined by "-", of the mode? */
bool hop_mode(const struct hop_options *opt, const char *word);

void __attribute__((noreturn)) die(const char *what);
void __attribute__((noreturn)) unavailable(const char *what);

/* The hop can take packets from now on: say so. All memory is there, so that no
 * page fault is measured, or waits for a disk while an emulated clock runs on.
 */
void hop_ready(void);

/* Set SO_RCVBUF and SO_SNDBUF beyond what the system allows to everybody. */
void socket_buffers(int fd, int bytes);

/* An IPv4 packet's UDP or TCP checksum, from scratch. */
void packet_checksum(void *packet, size_t len);
/* Change the first byte of the payload, if there is any; checksums are left. */
bool packet_change(void *packet, size_t len);

/* Bytes of a packet that are not as they were. */
struct change {
	size_t		offset;
	size_t		len;
};

/* Change it and correct the checksum by the difference, unless the kernel is
 * going to complete that: for who has the headers only. False: no payload.
 */
bool packet_patch(void *packet, size_t len, bool partial,
		  struct change *change);

/* Change it and make the checksum right. False: no payload, nothing is touched.
 */
static inline bool packet_rewrite(void *packet, size_t len)
{
	if (!packet_change(packet, len))
		return false;
	packet_checksum(packet, len);
	return true;
}

#endif /* _HOP_H */
