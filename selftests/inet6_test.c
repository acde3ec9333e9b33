// SPDX-License-Identifier: GPL-2.0
/* What the tests of IPv6 share; see inet6_test.h. */

#include <stddef.h>
#include <stdio.h>

#include "inet6_test.h"

struct packet packet, got;
struct sockaddr_in6 from;

int link6_new(void)
{
	int here = ns_open(), peer = veth_new();

	ns_enter(peer);
	ip_batch("address add fd00::2/64 dev v1 nodad\n");
	ns_enter(here);
	ip_batch("address add fd00::1/64 dev v0 nodad\n");
	close(here);
	return peer;
}

int peer_receiver(int peer)
{
	int here = ns_open(), fd;

	ns_enter(peer);
	fd = udp6_open(UDP_PORT);
	ns_enter(here);
	close(here);
	return fd;
}

struct sockaddr_in6 address6(const char *address, int port)
{
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
	};

	if (inet_pton(AF_INET6, address, &sin6.sin6_addr) != 1)
		die("%s", address);
	return sin6;
}

int udp6_open(int port)
{
	struct sockaddr_in6 sin6 = address6("::", port);
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)))
		die("UDP socket");
	return fd;
}

void udp6_send(int fd, const char *address, int payload)
{
	struct sockaddr_in6 sin6 = address6(address, UDP_PORT);
	static __u8 data[65536];

	if (sendto(fd, data, payload, 0, (struct sockaddr *)&sin6,
		   sizeof(sin6)) != payload)
		die("send to %s", address);
}

int bind6(int fd, int port)
{
	struct sockaddr_in6 sin6 = address6("::", port);

	return errno_of(bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)));
}

int divert6_socket(void)
{
	int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_DIVERT);

	if (fd < 0 || get_int(fd, SOL_DIVERT, DIVERT_VERSION) < 0)
		die("AF_INET6 divert socket");
	return fd;
}

int divert6_open(int port)
{
	int fd = divert6_socket();

	if (bind6(fd, port))
		die("bind to divert port %d", port);
	return fd;
}

int read6(int fd, struct packet *packet)
{
	socklen_t len = sizeof(from);

	memset(&from, 0xff, sizeof(from));
	if (!wait_readable(fd))
		return -ETIMEDOUT;
	packet->len = recvfrom(fd, packet->data, sizeof(packet->data),
			       MSG_DONTWAIT, (struct sockaddr *)&from, &len);
	if (packet->len >= 0 && len != sizeof(from))
		return -EBADMSG;
	return packet->len < 0 ? -errno : packet->len;
}

int write6(int fd, const struct packet *packet, const struct sockaddr_in6 *to)
{
	int len = sendto(fd, packet->data, packet->len, 0,
			 (const struct sockaddr *)to, to ? sizeof(*to) : 0);

	return len < 0 ? -errno : len;
}

int peer_divert(int peer)
{
	int here = ns_open(), fd;

	ns_enter(peer);
	fd = divert6_open(PORT);
	mark_udp("prerouting");
	ns_enter(here);
	close(here);
	return fd;
}

void policy6(const char *action, const char *rule)
{
	char command[128];

	snprintf(command, sizeof(command), "ip -6 rule %s %s table 5", action,
		 rule);
	if (system(command))
		die("%s", command);
}

void peer_sends(int peer, const char *to, int payload)
{
	int here = ns_open(), fd;

	ns_enter(peer);
	if (strchr(to, ':')) {
		fd = udp6_open(0);
		udp6_send(fd, to, payload);
	} else {
		fd = udp_open(NULL, 0);
		udp_send(fd, to, payload);
	}
	close(fd);
	ns_enter(here);
	close(here);
}

void mark_udp(const char *hook)
{
	nft_load("table inet m {\n"
		 " chain %s {\n"
		 "  type filter hook %s priority mangle;\n"
		 "  udp dport %d meta mark set 0x%x\n"
		 " }\n"
		 "}\n", hook, hook, UDP_PORT, MARK(PORT, COOKIE));
}

bool is_address(const char *expected)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text));
	if (strcmp(text, expected))
		fprintf(stderr, "# address is %s\n", text);
	return !strcmp(text, expected);
}

struct ip6_hdr *header6(struct packet *packet)
{
	return (struct ip6_hdr *)packet->data;
}

/* Of UDP with its pseudo header, which is laid before it. */
static __u16 sum6(const struct packet *packet)
{
	static struct {
		struct in6_addr saddr;
		struct in6_addr daddr;
		__be32 len;
		__be32 next;
		__u8 udp[65536];
	} data;
	const struct ip6_hdr *ip6 = (const struct ip6_hdr *)packet->data;
	int len = packet->len - HEADER6;

	data.saddr = ip6->ip6_src;
	data.daddr = ip6->ip6_dst;
	data.len = htonl(len);
	data.next = htonl(IPPROTO_UDP);
	memcpy(data.udp, packet->data + HEADER6, len);
	return ip_sum(&data, offsetof(typeof(data), udp) + len);
}

struct udphdr *udp6(struct packet *packet)
{
	return (struct udphdr *)(packet->data + HEADER6);
}

void make6(const char *saddr, const char *daddr, int payload)
{
	struct ip6_hdr *ip6 = header6(&packet);

	memset(packet.data, 0, SIZE6 + payload);
	packet.len = SIZE6 + payload;
	ip6->ip6_flow = htonl(6U << 28);
	ip6->ip6_plen = htons(packet.len - HEADER6);
	ip6->ip6_nxt = IPPROTO_UDP;
	ip6->ip6_hlim = 64;
	inet_pton(AF_INET6, saddr, &ip6->ip6_src);
	inet_pton(AF_INET6, daddr, &ip6->ip6_dst);
	udp6(&packet)->source = htons(4000);
	udp6(&packet)->dest = htons(UDP_PORT);
	udp6(&packet)->len = ip6->ip6_plen;
	udp6(&packet)->check = sum6(&packet) ?: 0xffff;
}

bool valid6(struct packet *packet)
{
	return packet->len == HEADER6 + ntohs(header6(packet)->ip6_plen) &&
	       !sum6(packet);
}
