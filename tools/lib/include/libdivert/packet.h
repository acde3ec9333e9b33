/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libdivert: look into IP packets and change them, with checksums kept right.
 *
 * Nothing here needs a socket or allocates memory, and nothing reads or writes
 * outside of the packet, whatever its headers say.
 */
#ifndef _LIBDIVERT_PACKET_H
#define _LIBDIVERT_PACKET_H

#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Packets: <libdivert/packet.h> */

/**
 * struct divert_packet - what divert_packet_parse() finds in a packet
 *
 * A pointer to a header is NULL unless the packet has it, whole, options
 * included. All point into the packet; numbers there are in network byte order.
 */
struct divert_packet {
	/** @data: the packet, from its IP header on */
	uint8_t *data;
	/** @len: its length, as its header states it */
	size_t len;
	/** @ip: IPv4 header */
	struct iphdr *ip;
	/** @ip6: IPv6 header; exactly one of the two is there */
	struct ip6_hdr *ip6;
	/** @transport: what comes after the IP headers; NULL in a fragment that
	 * is not the first one
	 */
	uint8_t *transport;
	/** @transport_len: bytes there are of it; in a first fragment, those
	 * that are in it
	 */
	size_t transport_len;
	/** @tcp: TCP header */
	struct tcphdr *tcp;
	/** @udp: UDP header */
	struct udphdr *udp;
	/** @icmp: ICMP header */
	struct icmphdr *icmp;
	/** @icmp6: ICMPv6 header */
	struct icmp6_hdr *icmp6;
	/** @payload: what comes after the last header that was understood */
	uint8_t *payload;
	/** @payload_len: bytes of it */
	size_t payload_len;
	/** @final: the address it goes to in the end, which checksums are made
	 * with: in the IP header, or in a routing header of IPv6; NULL if that
	 * is not known
	 */
	const uint8_t *final;
	/** @offset: of this fragment in the whole packet, in bytes */
	uint16_t offset;
	/** @protocol: IPPROTO_*, what @transport is; also that of an IPv6
	 * extension header that makes no sense, and then @transport is there
	 */
	uint8_t protocol;
	/** @fragment: only a part of a packet */
	bool fragment;
	/** @cut: maybe only the beginning of a packet */
	bool cut;
	/** @quoted: an error quotes it: it has no reader who would look at a
	 * checksum that was cut off
	 */
	bool quoted;
};

/**
 * divert_packet_parse() - find the headers of a packet
 * @packet: where to put them
 * @data: the packet, aligned to 4 bytes
 * @len: bytes there; what comes after the packet's end is left alone
 *
 * Checksums are not looked at: see divert_packet_valid().
 *
 * Return: 0, or -1 with errno:
 * EINVAL - this is no IP packet, its header contradicts itself, it is longer
 *	than @len, or it is not aligned
 */
int divert_packet_parse(struct divert_packet *packet, void *data, size_t len);

/**
 * divert_packet_parse_headers() - find the headers of a packet of which there
 * may be only the beginning
 * @packet: where to put them
 * @data: the packet, aligned to 4 bytes
 * @len: bytes there, as of a packet that the kernel keeps: see
 *	divert_set_hold()
 *
 * The packet's len is then what there is of it, if it is longer. Changes keep
 * its checksums right; they cannot be made anew.
 *
 * Return: 0, or -1 with errno:
 * EINVAL - this is not the beginning of an IP packet with its whole IP header,
 *	its header contradicts itself, or it is not aligned
 */
int divert_packet_parse_headers(struct divert_packet *packet, void *data,
				size_t len);

/**
 * divert_packet_parse_quoted() - find the headers of a packet that an ICMP or
 * ICMPv6 error quotes
 * @quoted: where to put them
 * @packet: the error
 *
 * The quoted packet may be cut anywhere after its IP header, so a NAT that
 * wants the ports looks at transport_len and not at tcp. Changes to it change
 * the sum over the error, too: see divert_packet_checksum().
 *
 * Return: 0, or -1 with errno:
 * EINVAL - this is no error, or it does not quote an IP header
 */
int divert_packet_parse_quoted(struct divert_packet *quoted,
			       const struct divert_packet *packet);

/**
 * divert_packet_saddr() - the source address
 * @packet: the packet
 *
 * Return: where it is, 4 bytes or 16
 */
const void *divert_packet_saddr(const struct divert_packet *packet);

/**
 * divert_packet_daddr() - the destination address in the IP header
 * @packet: the packet
 *
 * Return: where it is, 4 bytes or 16
 */
const void *divert_packet_daddr(const struct divert_packet *packet);

/**
 * divert_packet_sport() - the source port of TCP or UDP
 * @packet: the packet; one that an error quotes may be cut after the ports
 *
 * Return: the port, or -1 if it has none
 */
int divert_packet_sport(const struct divert_packet *packet);

/**
 * divert_packet_dport() - the destination port of TCP or UDP
 * @packet: the packet; one that an error quotes may be cut after the ports
 *
 * Return: the port, or -1 if it has none
 */
int divert_packet_dport(const struct divert_packet *packet);

/**
 * divert_packet_edit() - change bytes of a packet
 * @packet: the packet
 * @offset: where, from the packet's beginning
 * @bytes: what to put there
 * @len: how many
 *
 * Checksums that cover the bytes (IPv4 header, TCP, UDP, ICMP, ICMPv6) are
 * brought up to date: they are as right or wrong afterwards as they were
 * before, at a cost that depends on @len only. To change lengths, protocols or
 * flags of fragments is allowed; then the packet must be parsed again.
 * A checksum among the bytes is set right, too. Protocols with other sums
 * (SCTP) are left with the one they had.
 *
 * Return: 0, or -1 with errno, and nothing is changed:
 * EINVAL - the bytes are not all in the packet
 * EOPNOTSUPP - the sum over these bytes is in another fragment, behind the
 *	bytes that there are (TCP's begins 16 bytes after the IP headers), or
 *	cannot be known
 */
int divert_packet_edit(struct divert_packet *packet, size_t offset,
		       const void *bytes, size_t len);

/**
 * divert_packet_set_saddr() - change the source address
 * @packet: the packet
 * @addr: 4 bytes or 16, as the packet has
 *
 * Return: as divert_packet_edit()
 */
int divert_packet_set_saddr(struct divert_packet *packet, const void *addr);

/**
 * divert_packet_set_daddr() - change the destination address in the IP header
 * @packet: the packet
 * @addr: 4 bytes or 16, as the packet has
 *
 * Return: as divert_packet_edit()
 */
int divert_packet_set_daddr(struct divert_packet *packet, const void *addr);

/**
 * divert_packet_set_sport() - change the source port of TCP or UDP
 * @packet: the packet
 * @port: the port
 *
 * Return: as divert_packet_edit(), and:
 * EOPNOTSUPP - it has none
 */
int divert_packet_set_sport(struct divert_packet *packet, uint16_t port);

/**
 * divert_packet_set_dport() - change the destination port of TCP or UDP
 * @packet: the packet
 * @port: the port
 *
 * Return: as divert_packet_set_sport()
 */
int divert_packet_set_dport(struct divert_packet *packet, uint16_t port);

/**
 * divert_packet_set_ttl() - change the TTL or hop limit
 * @packet: the packet
 * @ttl: the TTL
 *
 * Return: as divert_packet_edit()
 */
int divert_packet_set_ttl(struct divert_packet *packet, uint8_t ttl);

/**
 * divert_packet_checksum() - make all checksums anew
 * @packet: the packet
 *
 * The kernel makes that of the IPv4 header right for packets that are sent, and
 * no other.
 *
 * Return: 0, or -1 with errno, and that of the IPv4 header is right:
 * EOPNOTSUPP - the other one cannot be made: the packet is a fragment, or only
 *	the beginning of a packet, or neither TCP, UDP, ICMP nor ICMPv6
 */
int divert_packet_checksum(struct divert_packet *packet);

/**
 * divert_packet_valid() - are all checksums right?
 * @packet: the packet
 *
 * Return: false if one is wrong; what divert_packet_checksum() cannot make
 * counts as right
 */
bool divert_packet_valid(const struct divert_packet *packet);

/**
 * divert_csum() - the Internet checksum
 * @data: the bytes
 * @len: how many
 *
 * Return: the checksum, in network byte order; 0 if the bytes hold a checksum
 * that is right
 */
uint16_t divert_csum(const void *data, size_t len);

/**
 * divert_csum_update() - correct a checksum for bytes that change
 * @csum: the checksum, in network byte order
 * @from: what the bytes were
 * @to: what they are now
 * @len: how many; the first one must be an even one among those summed up
 *
 * Return: the checksum, in network byte order
 */
uint16_t divert_csum_update(uint16_t csum, const void *from, const void *to,
			    size_t len);

#ifdef __cplusplus
}
#endif

#endif /* _LIBDIVERT_PACKET_H */
