/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The packet that the selftests' daemon has in hand: what is where in it,
 * whether its checksums are right, and changes to it.
 *
 * There is one at a time. Of one that is not valid nothing is looked at or
 * changed.
 */
#ifndef _DIVERTD_PACKET_H
#define _DIVERTD_PACKET_H

#include <linux/virtio_net.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_MAX	65535
/* IPv6 does not count its header. */
#define PACKET_MAX6	(PACKET_MAX + sizeof(struct ip6_hdr))

/* Room for the largest packet, aligned for the structures laid over it. */
union packet {
	struct ip	ip;
	struct ip6_hdr	ip6;
	uint8_t		bytes[PACKET_MAX6];
};

extern union packet packet;

/* What is left to be done to it. */
extern struct virtio_net_hdr offload;

/* Where in the packet that was read is what. */
struct packet_parts {
	bool		valid;		/* as long as its header says */
	bool		ipv6;
	uint8_t		protocol;
	size_t		payload;	/* offset: behind all IP headers */
	size_t		end;
	uint32_t	id;
	size_t		fragment;	/* offset in the packet that was cut */
	bool		more;		/* fragments */
};

extern struct packet_parts at;

/* Find the parts of a packet of so many bytes. */
void packet_locate(size_t len);

uint8_t *packet_payload(void);
size_t packet_payload_len(void);
bool packet_is_fragment(void);
/* ICMP, of the packet's own family; the other one is just some protocol. */
bool packet_is_icmp(void);
uint8_t *packet_source(void);
uint8_t *packet_destination(void);
size_t packet_address_len(void);
/* Or hop limit. */
uint8_t *packet_ttl(void);

/* Its length and the header's checksum are right. */
bool packet_ip_valid(void);
/* So is the transport's, or as much of it as must be there. */
bool packet_l4_valid(void);

/* Make both checksums right, or that of an IPv4 header alone. */
void packet_fix(void);
void packet_fix_ip(union packet *of);

/* Send it back to where it came from; a ping gets its answer. */
void packet_turn(void);

/* Those that are one already, or have options or extension headers, cannot. */
bool packet_can_be_cut(void);
/* Make a fragment of so many bytes from this offset in the payload on; IPv6 has
 * no id but this one. Says how long it is.
 */
size_t packet_cut(union packet *piece, size_t offset, size_t len, uint32_t id);

#endif /* _DIVERTD_PACKET_H */
