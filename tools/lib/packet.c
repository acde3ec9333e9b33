// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finding the headers of a packet. What a header says is believed only as far
 * as there are bytes.
 */

#include <errno.h>
#include <string.h>

#include <libdivert/packet.h>

#define PORTS_LEN	4	/* both, at the beginning of TCP and UDP */

static int fail(int error)
{
	errno = error;
	return -1;
}

/* Where the packet's transport begins and how much there is of it. */
static void set_transport(struct divert_packet *packet, size_t at)
{
	packet->payload = packet->data + at;
	packet->payload_len = packet->len - at;
	if (packet->offset)
		return;

	packet->transport = packet->payload;
	packet->transport_len = packet->payload_len;
}

static void skip_payload(struct divert_packet *packet, size_t len)
{
	packet->payload += len;
	packet->payload_len -= len;
}

static void parse_tcp(struct divert_packet *packet)
{
	struct tcphdr *tcp = (struct tcphdr *)packet->transport;

	if (packet->transport_len < sizeof(*tcp) || tcp->doff < 5 ||
	    packet->transport_len < tcp->doff * 4u)
		return;

	packet->tcp = tcp;
	skip_payload(packet, tcp->doff * 4);
}

static void parse_udp(struct divert_packet *packet)
{
	struct udphdr *udp = (struct udphdr *)packet->transport;
	size_t len;

	if (packet->transport_len < sizeof(*udp))
		return;
	len = ntohs(udp->len);
	if (len < sizeof(*udp))
		return;
	if (len > packet->transport_len && !packet->fragment && !packet->cut)
		return;

	packet->udp = udp;
	if (packet->payload_len > len)
		packet->payload_len = len;
	skip_payload(packet, sizeof(*udp));
}

static void parse_icmp(struct divert_packet *packet)
{
	if (!packet->ip || packet->transport_len < sizeof(*packet->icmp))
		return;

	packet->icmp = (struct icmphdr *)packet->transport;
	skip_payload(packet, sizeof(*packet->icmp));
}

static void parse_icmp6(struct divert_packet *packet)
{
	if (!packet->ip6 || packet->transport_len < sizeof(*packet->icmp6))
		return;

	packet->icmp6 = (struct icmp6_hdr *)packet->transport;
	skip_payload(packet, sizeof(*packet->icmp6));
}

static void parse_transport(struct divert_packet *packet)
{
	if (!packet->transport)
		return;

	switch (packet->protocol) {
	case IPPROTO_TCP:
		return parse_tcp(packet);
	case IPPROTO_UDP:
		return parse_udp(packet);
	case IPPROTO_ICMP:
		return parse_icmp(packet);
	case IPPROTO_ICMPV6:
		return parse_icmp6(packet);
	}
}

/* The beginning of a packet states the length of all of it. */
static bool set_len(struct divert_packet *packet, size_t stated, size_t len)
{
	if (stated > len && !packet->cut)
		return false;
	packet->len = stated < len ? stated : len;
	return true;
}

static bool parse_ip4(struct divert_packet *packet, size_t len)
{
	struct iphdr *ip = (struct iphdr *)packet->data;
	size_t header, fragment;

	if (len < sizeof(*ip))
		return false;
	header = ip->ihl * 4;
	if (header < sizeof(*ip) || header > ntohs(ip->tot_len) ||
	    !set_len(packet, ntohs(ip->tot_len), len) || header > packet->len)
		return false;

	fragment = ntohs(ip->frag_off);
	packet->ip = ip;
	packet->protocol = ip->protocol;
	packet->fragment = fragment & (IP_MF | IP_OFFMASK);
	packet->offset = (fragment & IP_OFFMASK) * 8;
	packet->final = (const uint8_t *)&ip->daddr;
	set_transport(packet, header);
	return true;
}

static bool is_extension(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_DSTOPTS:
	case IPPROTO_AH:
		return true;
	default:
		return false;
	}
}

static size_t extension_len(uint8_t protocol, const uint8_t *ext)
{
	switch (protocol) {
	case IPPROTO_FRAGMENT:
		return 8;
	case IPPROTO_AH:
		return (ext[1] + 2) * 4;
	default:
		return (ext[1] + 1) * 8;
	}
}

/* Where the packet still has to go to: the last address, which segment routing
 * puts first.
 */
static const uint8_t *final_address(const uint8_t *ext, size_t len)
{
	enum { MOBILE = 2, SEGMENTS = 4 };	/* types of routing headers */
	uint8_t type = ext[2], left = ext[3];
	size_t n = (len - 8) / 16;

	if (!n || left > n)
		return NULL;

	switch (type) {
	case IPV6_RTHDR_TYPE_0:
		return ext + 8 + (n - 1) * 16;
	case MOBILE:
	case SEGMENTS:
		return ext + 8;
	default:
		return NULL;
	}
}

static void parse_extension(struct divert_packet *packet, const uint8_t *ext,
			    size_t len)
{
	uint16_t fragment;

	if (packet->protocol == IPPROTO_ROUTING && ext[3])
		packet->final = final_address(ext, len);
	if (packet->protocol == IPPROTO_FRAGMENT) {
		fragment = ext[2] << 8 | ext[3];
		packet->offset = fragment & 0xfff8;
		packet->fragment = fragment & 0xfff9;
	}
	packet->protocol = ext[0];
}

/* After a fragment header with an offset comes the middle of something. */
static void parse_extensions(struct divert_packet *packet)
{
	size_t at = sizeof(*packet->ip6), len;
	const uint8_t *ext;

	while (is_extension(packet->protocol) && !packet->offset &&
	       packet->len - at >= 8) {
		ext = packet->data + at;
		len = extension_len(packet->protocol, ext);
		if (len < 8 || len > packet->len - at)
			break;
		parse_extension(packet, ext, len);
		at += len;
	}
	set_transport(packet, at);
}

static bool parse_ip6(struct divert_packet *packet, size_t len)
{
	struct ip6_hdr *ip6 = (struct ip6_hdr *)packet->data;

	if (len < sizeof(*ip6) ||
	    !set_len(packet, sizeof(*ip6) + ntohs(ip6->ip6_plen), len))
		return false;

	packet->ip6 = ip6;
	packet->protocol = ip6->ip6_nxt;
	packet->final = (const uint8_t *)&ip6->ip6_dst;
	parse_extensions(packet);
	return true;
}

static int parse(struct divert_packet *packet, void *data, size_t len,
		 bool cut)
{
	bool ok = false;

	memset(packet, 0, sizeof(*packet));
	packet->data = data;
	packet->cut = cut;
	if (!len || (uintptr_t)data % 4)
		return fail(EINVAL);

	if (packet->data[0] >> 4 == 4)
		ok = parse_ip4(packet, len);
	else if (packet->data[0] >> 4 == 6)
		ok = parse_ip6(packet, len);
	if (!ok)
		return fail(EINVAL);

	parse_transport(packet);
	return 0;
}

int divert_packet_parse(struct divert_packet *packet, void *data, size_t len)
{
	return parse(packet, data, len, false);
}

int divert_packet_parse_headers(struct divert_packet *packet, void *data,
				size_t len)
{
	/* Of a whole one, all can be known. */
	return parse(packet, data, len, false) ? parse(packet, data, len, true) :
						 0;
}

static bool is_error(const struct divert_packet *packet)
{
	if (packet->icmp6)
		return !(packet->icmp6->icmp6_type & ICMP6_INFOMSG_MASK);
	if (!packet->icmp)
		return false;

	switch (packet->icmp->type) {
	case ICMP_DEST_UNREACH:
	case ICMP_SOURCE_QUENCH:
	case ICMP_REDIRECT:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETERPROB:
		return true;
	default:
		return false;
	}
}

int divert_packet_parse_quoted(struct divert_packet *quoted,
			       const struct divert_packet *packet)
{
	if (!is_error(packet))
		return fail(EINVAL);
	if (parse(quoted, packet->payload, packet->payload_len, true))
		return -1;
	quoted->quoted = true;
	return 0;
}

const void *divert_packet_saddr(const struct divert_packet *packet)
{
	return packet->ip ? (void *)&packet->ip->saddr :
			    (void *)&packet->ip6->ip6_src;
}

const void *divert_packet_daddr(const struct divert_packet *packet)
{
	return packet->ip ? (void *)&packet->ip->daddr :
			    (void *)&packet->ip6->ip6_dst;
}

static bool has_ports(const struct divert_packet *packet)
{
	return (packet->protocol == IPPROTO_TCP ||
		packet->protocol == IPPROTO_UDP) &&
	       packet->transport && packet->transport_len >= PORTS_LEN;
}

static int get_port(const struct divert_packet *packet, size_t at)
{
	if (!has_ports(packet))
		return -1;
	return packet->transport[at] << 8 | packet->transport[at + 1];
}

int divert_packet_sport(const struct divert_packet *packet)
{
	return get_port(packet, 0);
}

int divert_packet_dport(const struct divert_packet *packet)
{
	return get_port(packet, 2);
}

static int edit_at(struct divert_packet *packet, const void *at,
		   const void *bytes, size_t len)
{
	return divert_packet_edit(packet, (const uint8_t *)at - packet->data,
				  bytes, len);
}

int divert_packet_set_saddr(struct divert_packet *packet, const void *addr)
{
	return edit_at(packet, divert_packet_saddr(packet), addr,
		       packet->ip ? 4 : 16);
}

int divert_packet_set_daddr(struct divert_packet *packet, const void *addr)
{
	return edit_at(packet, divert_packet_daddr(packet), addr,
		       packet->ip ? 4 : 16);
}

static int set_port(struct divert_packet *packet, size_t at, uint16_t port)
{
	uint16_t bytes = htons(port);

	if (!has_ports(packet))
		return fail(EOPNOTSUPP);
	return edit_at(packet, packet->transport + at, &bytes, sizeof(bytes));
}

int divert_packet_set_sport(struct divert_packet *packet, uint16_t port)
{
	return set_port(packet, 0, port);
}

int divert_packet_set_dport(struct divert_packet *packet, uint16_t port)
{
	return set_port(packet, 2, port);
}

int divert_packet_set_ttl(struct divert_packet *packet, uint8_t ttl)
{
	return edit_at(packet, packet->ip ? (void *)&packet->ip->ttl :
					    (void *)&packet->ip6->ip6_hlim,
		       &ttl, sizeof(ttl));
}
