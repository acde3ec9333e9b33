// SPDX-License-Identifier: GPL-2.0
/*
 * The packet of the selftests' daemon: see divertd_packet.h.
 */

#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <string.h>

#include "divertd_packet.h"

union packet packet;
struct virtio_net_hdr offload;
struct packet_parts at;

/* Checksums */

static uint32_t sum_add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t i;

	/* A packet's worth of these fits 32 bits. */
	for (i = 0; i + 1 < len; i += 2)
		sum += p[i] << 8 | p[i + 1];
	if (len & 1)
		sum += p[len - 1] << 8;
	return (sum & 0xffff) + (sum >> 16);
}

static uint16_t sum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum & 0xffff);
}

/* CRC32c, bit by bit: few packets are SCTP. */
static uint32_t crc32c_add(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;
	int bit;

	while (len--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return crc;
}

/* Finding the way round in a packet */

static bool locate4(size_t len)
{
	if (len < sizeof(packet.ip))
		return false;

	at.protocol = packet.ip.ip_p;
	at.payload = packet.ip.ip_hl * 4;
	at.end = ntohs(packet.ip.ip_len);
	at.id = ntohs(packet.ip.ip_id);
	at.fragment = (ntohs(packet.ip.ip_off) & IP_OFFMASK) * 8;
	at.more = packet.ip.ip_off & htons(IP_MF);
	return at.payload >= sizeof(packet.ip) && at.payload <= at.end;
}

/* The fragment header at the payload. */
static void locate_fragment(void)
{
	struct ip6_frag header;

	memcpy(&header, packet.bytes + at.payload, sizeof(header));
	at.id = ntohl(header.ip6f_ident);
	at.fragment = ntohs(header.ip6f_offlg & IP6F_OFF_MASK);
	at.more = header.ip6f_offlg & IP6F_MORE_FRAG;
}

/* Goes past one extension header; false if it is none, or cut short. */
static bool skip_extension(void)
{
	const uint8_t *p = packet.bytes + at.payload;
	size_t len;

	/* What comes in later fragments is payload, whatever it was. */
	if (at.fragment || at.end - at.payload < 8)
		return false;

	switch (at.protocol) {
	case IPPROTO_FRAGMENT:
		len = sizeof(struct ip6_frag);
		break;
	case IPPROTO_AH:
		len = (p[1] + 2) * 4;
		break;
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		len = (p[1] + 1) * 8;
		break;
	default:
		return false;
	}
	if (len > at.end - at.payload)
		return false;

	if (at.protocol == IPPROTO_FRAGMENT)
		locate_fragment();
	at.protocol = p[0];
	at.payload += len;
	return true;
}

static bool locate6(size_t len)
{
	if (len < sizeof(packet.ip6))
		return false;

	at.ipv6 = true;
	at.protocol = packet.ip6.ip6_nxt;
	at.payload = sizeof(packet.ip6);
	at.end = at.payload + ntohs(packet.ip6.ip6_plen);
	if (at.end > len)
		return false;

	while (skip_extension())
		;
	return true;
}

void packet_locate(size_t len)
{
	memset(&at, 0, sizeof(at));
	if (len && packet.bytes[0] >> 4 == 4)
		at.valid = locate4(len);
	else if (len && packet.bytes[0] >> 4 == 6)
		at.valid = locate6(len);

	if (at.end != len)
		at.valid = false;
	if (!at.valid) {
		at.payload = 0;
		at.end = 0;
	}
}

uint8_t *packet_payload(void)
{
	return packet.bytes + at.payload;
}

size_t packet_payload_len(void)
{
	return at.end - at.payload;
}

bool packet_is_fragment(void)
{
	return at.fragment || at.more;
}

size_t packet_address_len(void)
{
	return at.ipv6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
}

uint8_t *packet_source(void)
{
	return at.ipv6 ? (uint8_t *)&packet.ip6.ip6_src :
			 (uint8_t *)&packet.ip.ip_src;
}

uint8_t *packet_destination(void)
{
	return at.ipv6 ? (uint8_t *)&packet.ip6.ip6_dst :
			 (uint8_t *)&packet.ip.ip_dst;
}

uint8_t *packet_ttl(void)
{
	return at.ipv6 ? &packet.ip6.ip6_hlim : &packet.ip.ip_ttl;
}

bool packet_is_icmp(void)
{
	return at.protocol == (at.ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

/* The packet's checksums */

static uint32_t pseudo_header(void)
{
	uint32_t sum = at.protocol + packet_payload_len();

	sum = sum_add(sum, packet_source(), packet_address_len());
	return sum_add(sum, packet_destination(), packet_address_len());
}

/* Where the checksum of a protocol is, or NULL. */
static uint16_t *l4_checksum(void)
{
	size_t offset;

	if (packet_is_icmp())
		offset = offsetof(struct icmphdr, checksum);
	else if (at.protocol == IPPROTO_TCP)
		offset = offsetof(struct tcphdr, th_sum);
	else if (at.protocol == IPPROTO_UDP)
		offset = offsetof(struct udphdr, uh_sum);
	else
		return NULL;

	if (packet_payload_len() < offset + sizeof(uint16_t))
		return NULL;
	return (uint16_t *)(packet_payload() + offset);
}

static uint16_t l4_sum(void)
{
	uint32_t sum = at.protocol == IPPROTO_ICMP ? 0 : pseudo_header();

	return sum_fold(sum_add(sum, packet_payload(), packet_payload_len()));
}

/* UDP over IPv4 may do without; over IPv6 that is an error. */
static bool l4_without_checksum(const uint16_t *field)
{
	return at.protocol == IPPROTO_UDP && !at.ipv6 && !*field;
}

static bool sctp_valid(void)
{
	static const uint8_t zero[4];
	uint8_t *p = packet_payload();
	uint32_t crc = ~0U;

	if (packet_payload_len() < 12)
		return false;

	crc = crc32c_add(crc, p, 8);
	crc = crc32c_add(crc, zero, sizeof(zero));
	crc = ~crc32c_add(crc, p + 12, packet_payload_len() - 12);
	return p[8] == (crc & 0xff) && p[9] == (crc >> 8 & 0xff) &&
	       p[10] == (crc >> 16 & 0xff) && p[11] == crc >> 24;
}

/* As much of the checksum as must be there if the rest is made later. */
static bool l4_begun(const uint16_t *field)
{
	return field && offload.csum_start == at.payload &&
	       packet_payload() + offload.csum_offset == (const uint8_t *)field &&
	       (*field ^ sum_fold(pseudo_header())) == UINT16_MAX;
}

bool packet_l4_valid(void)
{
	const uint16_t *field = l4_checksum();

	if (packet_is_fragment())
		return true;
	if (offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return l4_begun(field);
	if (at.protocol == IPPROTO_SCTP)
		return sctp_valid();
	if (!field || l4_without_checksum(field))
		return true;
	if (at.protocol == IPPROTO_UDP && !*field)
		return false;
	return !l4_sum();
}

static uint16_t ip_sum(const union packet *of)
{
	return sum_fold(sum_add(0, of, of->ip.ip_hl * 4));
}

bool packet_ip_valid(void)
{
	return at.valid && (at.ipv6 || !ip_sum(&packet));
}

void packet_fix_ip(union packet *of)
{
	if (of->ip.ip_v != 4)
		return;
	of->ip.ip_sum = 0;
	of->ip.ip_sum = ip_sum(of);
}

void packet_fix(void)
{
	uint16_t *field = l4_checksum();

	packet_fix_ip(&packet);
	if (!field || packet_is_fragment() || l4_without_checksum(field) ||
	    offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return;

	*field = 0;
	*field = l4_sum();
	if (at.protocol == IPPROTO_UDP && !*field)
		*field = 0xffff;
}

/* Changing it */

static void swap(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t byte;

	while (len--) {
		byte = *a;
		*a++ = *b;
		*b++ = byte;
	}
}

void packet_turn(void)
{
	uint8_t *p = packet_payload();

	swap(packet_source(), packet_destination(), packet_address_len());

	if (at.fragment || packet_payload_len() < 4)
		return;
	if (packet_is_icmp() &&
	    p[0] == (at.ipv6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO))
		p[0] = at.ipv6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
	else if (at.protocol == IPPROTO_TCP || at.protocol == IPPROTO_UDP)
		swap(p, p + 2, 2);
}

/* Cutting it */

static size_t fragment_header4(union packet *piece, size_t offset, size_t len,
			       bool more)
{
	piece->ip = packet.ip;
	piece->ip.ip_len = htons(sizeof(piece->ip) + len);
	piece->ip.ip_off = htons(offset / 8 | (more ? IP_MF : 0));
	packet_fix_ip(piece);
	return sizeof(piece->ip);
}

static size_t fragment_header6(union packet *piece, size_t offset, size_t len,
			       bool more, uint32_t id)
{
	struct ip6_frag header = {
		.ip6f_nxt	= at.protocol,
		.ip6f_offlg	= htons(offset) | (more ? IP6F_MORE_FRAG : 0),
		.ip6f_ident	= htonl(id),
	};

	piece->ip6 = packet.ip6;
	piece->ip6.ip6_nxt = IPPROTO_FRAGMENT;
	piece->ip6.ip6_plen = htons(sizeof(header) + len);
	memcpy(piece->bytes + sizeof(piece->ip6), &header, sizeof(header));
	return sizeof(piece->ip6) + sizeof(header);
}

size_t packet_cut(union packet *piece, size_t offset, size_t len, uint32_t id)
{
	bool more = offset + len < packet_payload_len();
	size_t header = at.ipv6 ?
			fragment_header6(piece, offset, len, more, id) :
			fragment_header4(piece, offset, len, more);

	memcpy(piece->bytes + header, packet_payload() + offset, len);
	return header + len;
}

bool packet_can_be_cut(void)
{
	return at.valid && !packet_is_fragment() &&
	       at.payload == (at.ipv6 ? sizeof(packet.ip6) : sizeof(packet.ip));
}
