/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of DIVERT_GSO share: packets with segmentation and checksum
 * left for later, and what arrives of them at the other end of a link whose
 * device can do neither.
 */
#ifndef _GSO_TEST_H
#define _GSO_TEST_H

#include <linux/virtio_net.h>

#include "divert_test.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4	5
#endif

/* What a packet is made like. */
struct shape {
	int family;
	int protocol;
	bool extended;		/* IP options or extension headers */
	int payload;
};

/* Where things are in it. */
struct layout {
	int transport;
	int payload;
	int check;
};

/* The packet that is written, one that was read, one that has arrived. */
extern struct packet packet, got, wire;

struct layout layout(const struct shape *shape);
/* packet, its transport checksum made of the pseudo header only. */
struct layout make(const struct shape *shape);
/* Of the pseudo header and @len bytes of a packet's transport. */
__u16 transport_sum(const struct packet *packet, int transport, int protocol,
		    int len);
/* The control message that fits; 0: not to be segmented. */
struct virtio_net_hdr header(const struct shape *shape, int gso_size);

/* Writes packet, with so many bytes of a control message. */
int write_bytes(int fd, const void *vnet, int vnet_len,
		const struct sockaddr_in *to);
int write_whole(int fd, const struct virtio_net_hdr *vnet,
		const struct sockaddr_in *to);
/* Reads into got; @vnet is all ones if there was no control message. */
int read_whole(int fd, struct virtio_net_hdr *vnet, struct sockaddr_in *from);
/* A divert socket with DIVERT_GSO. */
int gso_open(int port);
/* Mark what goes to UDP_PORT, by whatever protocol. */
void mark_port(const char *hook, __u32 mark);

/*	d0 here v0 ─────── v1 peer
 *	10.1.0.1   10.0.0.1   10.0.0.2
 *	fd01::1    fd00::1    fd00::2
 *
 * Packets go from 10.1.0.2 to 10.0.0.2, or the same by IPv6. Returns what sees
 * all that arrives at v1.
 */
int topology(int mtu);
/* Whether a device makes checksums and segments itself. */
void offload_set(const char *dev, bool on);
/* Says whether wire is of this shape. */
bool wire_is(const struct shape *shape);
/* All of a packet did arrive, unharmed, as so many packets, the longest of this
 * length.
 */
bool arrived(int fd, const struct shape *shape, int packets, int longest);

#endif /* _GSO_TEST_H */
