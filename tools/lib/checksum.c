// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The Internet checksum: made, corrected, checked. A packet's sums are kept by
 * what they have in common: the words they cover, themselves included, add up
 * to the same before and after a change.
 */

#include <errno.h>
#include <string.h>

#include <libdivert/packet.h>

/* Words add up the same in either byte order; so all sums are in memory's. */
static uint32_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint64_t add(uint64_t sum, const void *data, size_t len)
{
	const unsigned char *p = data;
	uint16_t word;

	for (; len > 1; p += 2, len -= 2) {
		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	if (len) {
		word = 0;
		memcpy(&word, p, 1);
		sum += word;
	}
	return sum;
}

/* Bytes that begin at an odd place have their halves of words exchanged. */
static uint32_t sum_at(size_t offset, const void *data, size_t len)
{
	uint32_t sum = fold(add(0, data, len));

	return offset & 1 ? __builtin_bswap16(sum) : sum;
}

uint16_t divert_csum(const void *data, size_t len)
{
	return ~fold(add(0, data, len));
}

uint16_t divert_csum_update(uint16_t csum, const void *from, const void *to,
			    size_t len)
{
	uint64_t sum = (uint16_t)~csum;

	sum += (uint16_t)~fold(add(0, from, len));
	return ~fold(add(sum, to, len));
}

/* Where the sum of a packet's transport is: NULL if we know none. */
static uint8_t *transport_csum(const struct divert_packet *packet)
{
	size_t at;

	if (!packet->transport)
		return NULL;

	switch (packet->protocol) {
	case IPPROTO_TCP:
		at = offsetof(struct tcphdr, check);
		break;
	case IPPROTO_UDP:
		at = offsetof(struct udphdr, check);
		break;
	case IPPROTO_ICMP:
		if (!packet->ip)
			return NULL;
		at = offsetof(struct icmphdr, checksum);
		break;
	case IPPROTO_ICMPV6:
		if (!packet->ip6)
			return NULL;
		at = offsetof(struct icmp6_hdr, icmp6_cksum);
		break;
	default:
		return NULL;
	}
	if (packet->transport_len < at + sizeof(uint16_t))
		return NULL;
	return packet->transport + at;
}

static bool has_pseudo_header(const struct divert_packet *packet)
{
	return packet->protocol != IPPROTO_ICMP;
}

static bool is_udp(const struct divert_packet *packet)
{
	return packet->protocol == IPPROTO_UDP;
}

/* UDP over IPv4 may go without. */
static bool no_csum(const struct divert_packet *packet, const uint8_t *csum)
{
	return is_udp(packet) && !csum[0] && !csum[1];
}

static size_t addr_len(const struct divert_packet *packet)
{
	return packet->ip ? 4 : 16;
}

static size_t offset_of(const struct divert_packet *packet, const void *at)
{
	return (const uint8_t *)at - packet->data;
}

/* UDP says itself how long it is. */
static size_t covered_len(const struct divert_packet *packet)
{
	if (packet->udp && !packet->fragment && !packet->cut)
		return ntohs(packet->udp->len);
	return packet->transport_len;
}

/* Changing bytes */

struct change {
	const uint8_t *from;
	const uint8_t *to;
	size_t offset;		/* in the packet */
	size_t len;
};

/* What the bytes of it that lie in a range add to the sum over that. All ranges
 * begin at an even place.
 */
static uint64_t added(const struct change *change, size_t begin, size_t len)
{
	size_t end = begin + len;
	size_t skip;

	if (begin < change->offset)
		begin = change->offset;
	if (end > change->offset + change->len)
		end = change->offset + change->len;
	if (begin >= end)
		return 0;

	skip = begin - change->offset;
	return (uint16_t)~sum_at(begin, change->from + skip, end - begin) +
	       sum_at(begin, change->to + skip, end - begin);
}

static bool touches(const struct change *change, size_t begin, size_t end)
{
	return change->offset < end && begin < change->offset + change->len;
}

static uint64_t added_to_ip(const struct divert_packet *packet,
			    const struct change *change)
{
	return packet->ip ? added(change, 0, packet->ip->ihl * 4) : 0;
}

static uint64_t added_to_transport(const struct divert_packet *packet,
				   const struct change *change)
{
	uint64_t sum = added(change, offset_of(packet, packet->transport),
			     covered_len(packet));

	if (!has_pseudo_header(packet))
		return sum;

	sum += added(change, offset_of(packet, divert_packet_saddr(packet)),
		     addr_len(packet));
	if (packet->final)
		sum += added(change, offset_of(packet, packet->final),
			     addr_len(packet));
	return sum;
}

/* Zero and 0xffff are the same number, but not to all: in UDP zero means that
 * there is no sum, and where all else is zero, which can be in ICMP only, the
 * sum is 0xffff. That is always taken for right.
 */
static bool avoids_zero(const struct divert_packet *packet)
{
	return is_udp(packet) || packet->protocol == IPPROTO_ICMP;
}

static void set_csum(uint8_t *at, uint16_t csum, bool avoid_zero)
{
	if (avoid_zero && !csum)
		csum = 0xffff;
	memcpy(at, &csum, sizeof(csum));
}

/* Make up for what was added, be it to the checksum itself. */
static void correct(uint8_t *at, uint64_t sum, bool avoid_zero)
{
	uint16_t csum;

	memcpy(&csum, at, sizeof(csum));
	set_csum(at, ~fold((uint16_t)~csum + sum), avoid_zero);
}

static bool has_csum(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ||
	       protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

/* Does the transport's sum cover what is changed? */
static bool covered(const struct divert_packet *packet,
		    const struct change *change)
{
	size_t addrs = offset_of(packet, divert_packet_saddr(packet));

	return touches(change, offset_of(packet, packet->transport),
		       packet->len) ||
	       (has_pseudo_header(packet) &&
		touches(change, addrs, addrs + 2 * addr_len(packet)));
}

/* Is the sum that covers the bytes out of reach? */
static bool out_of_reach(const struct divert_packet *packet,
			 const struct change *change)
{
	size_t headers = packet->ip ? packet->ip->ihl * 4u :
				      sizeof(*packet->ip6);
	size_t payload = offset_of(packet, packet->payload);

	if (!has_csum(packet->protocol))
		return false;
	/* In the first fragment. */
	if (!packet->transport)
		return touches(change, payload, packet->len);
	if ((packet->cut || packet->fragment) && !packet->quoted &&
	    !transport_csum(packet) && covered(packet, change))
		return true;
	/* A routing header that is not understood. */
	return !packet->final &&
	       touches(change, headers, offset_of(packet, packet->transport));
}

int divert_packet_edit(struct divert_packet *packet, size_t offset,
		       const void *bytes, size_t len)
{
	struct change change = {
		.from = packet->data + offset,
		.to = bytes,
		.offset = offset,
		.len = len,
	};
	uint8_t *csum = transport_csum(packet);
	uint64_t ip_sum, sum = 0;

	if (offset > packet->len || len > packet->len - offset) {
		errno = EINVAL;
		return -1;
	}
	if (out_of_reach(packet, &change)) {
		errno = EOPNOTSUPP;
		return -1;
	}

	if (csum && no_csum(packet, csum))
		csum = NULL;
	ip_sum = added_to_ip(packet, &change);
	if (csum)
		sum = added_to_transport(packet, &change);

	memmove(packet->data + offset, bytes, len);

	if (ip_sum)
		correct((uint8_t *)&packet->ip->check, ip_sum, false);
	if (sum)
		correct(csum, sum, avoids_zero(packet));
	return 0;
}

/* Making and checking whole sums */

static uint32_t transport_sum(const struct divert_packet *packet)
{
	size_t len = covered_len(packet);
	uint64_t sum = add(0, packet->transport, len);

	if (!has_pseudo_header(packet))
		return fold(sum);

	sum = add(sum, divert_packet_saddr(packet), addr_len(packet));
	sum = add(sum, packet->final, addr_len(packet));
	return fold(sum + htons(len) + htons(packet->protocol));
}

/* NULL if the packet has none, or not all that it covers is there. */
static uint8_t *whole_csum(const struct divert_packet *packet)
{
	if (packet->fragment || packet->cut || !packet->final ||
	    (is_udp(packet) && !packet->udp))
		return NULL;
	return transport_csum(packet);
}

int divert_packet_checksum(struct divert_packet *packet)
{
	uint8_t *csum = whole_csum(packet);

	if (packet->ip) {
		packet->ip->check = 0;
		packet->ip->check = divert_csum(packet->ip,
						packet->ip->ihl * 4);
	}
	if (!csum) {
		errno = EOPNOTSUPP;
		return -1;
	}

	memset(csum, 0, 2);
	set_csum(csum, ~transport_sum(packet), is_udp(packet));
	return 0;
}

bool divert_packet_valid(const struct divert_packet *packet)
{
	uint8_t *csum = whole_csum(packet);

	if (packet->ip && divert_csum(packet->ip, packet->ip->ihl * 4))
		return false;
	if (!csum)
		return true;
	if (no_csum(packet, csum))
		return packet->ip;
	return transport_sum(packet) == 0xffff;
}
