// SPDX-License-Identifier: GPL-2.0
/*
 * IPv6: packets, and sockets with its addresses.
 *
 * V6_1 and V6_2 stand for statements 6.1 and 6.2 of the contract.
 *
 * TIMEOUT=240
 */

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <netinet/ip6.h>
#include <stddef.h>
#include <stdio.h>

#include "divert_test.h"
#include "kselftest_harness.h"

#define HEADER6		((int)sizeof(struct ip6_hdr))
#define SIZE6		(HEADER6 + (int)sizeof(struct udphdr))

static struct packet packet, got;
static struct sockaddr_in6 from;

/*	peer v1 ─────── v0 here
 *	10.0.0.2  10.0.0.1
 *	fd00::2   fd00::1
 */
FIXTURE(inet6)
{
	int peer;
	int fd;			/* AF_INET6, on PORT */
	int rx;			/* gets what comes to this host */
	int peer_rx;
	struct counters before;
};

static struct sockaddr_in6 address6(const char *address, int port)
{
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
	};

	if (inet_pton(AF_INET6, address, &sin6.sin6_addr) != 1)
		die("%s", address);
	return sin6;
}

static int udp6_open(int port)
{
	struct sockaddr_in6 sin6 = address6("::", port);
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)))
		die("UDP socket");
	return fd;
}

static void udp6_send(int fd, const char *address, int payload)
{
	struct sockaddr_in6 sin6 = address6(address, UDP_PORT);
	static __u8 data[65536];

	if (sendto(fd, data, payload, 0, (struct sockaddr *)&sin6,
		   sizeof(sin6)) != payload)
		die("send to %s", address);
}

static int bind6(int fd, int port)
{
	struct sockaddr_in6 sin6 = address6("::", port);

	return errno_of(bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)));
}

static int divert6_socket(void)
{
	int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_DIVERT);

	if (fd < 0 || get_int(fd, SOL_DIVERT, DIVERT_VERSION) < 0)
		die("AF_INET6 divert socket");
	return fd;
}

/* One packet; fills in from. */
static int read6(int fd, struct packet *packet)
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

static int write6(int fd, const struct packet *packet,
		  const struct sockaddr_in6 *to)
{
	int len = sendto(fd, packet->data, packet->len, 0,
			 (const struct sockaddr *)to, to ? sizeof(*to) : 0);

	return len < 0 ? -errno : len;
}

FIXTURE_SETUP(inet6)
{
	int here;

	ns_new();
	here = ns_open();
	self->peer = veth_new();
	ns_enter(self->peer);
	ip_batch("address add fd00::2/64 dev v1 nodad\n");
	self->peer_rx = udp6_open(UDP_PORT);
	ns_enter(here);
	ip_batch("address add fd00::1/64 dev v0 nodad\n");
	self->fd = divert6_socket();
	if (bind6(self->fd, PORT))
		die("bind");
	self->rx = udp6_open(UDP_PORT);
	counters_read(&self->before);
}

FIXTURE_TEARDOWN(inet6)
{
	EXPECT_FALSE(readable(self->rx));
}

/* From the peer to this host. */
static void peer_sends(int peer, const char *to, int payload)
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

/* Rules for both families. */
static void mark_udp(const char *hook)
{
	nft_load("table inet m {\n"
		 " chain %s {\n"
		 "  type filter hook %s priority mangle;\n"
		 "  udp dport %d meta mark set 0x%x\n"
		 " }\n"
		 "}\n", hook, hook, UDP_PORT, MARK(PORT, COOKIE));
}

static bool is_address(const char *expected)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text));
	if (strcmp(text, expected))
		fprintf(stderr, "# address is %s\n", text);
	return !strcmp(text, expected);
}

/* Packets */

static struct ip6_hdr *header6(struct packet *packet)
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

static struct udphdr *udp6(struct packet *packet)
{
	return (struct udphdr *)(packet->data + HEADER6);
}

static void make6(const char *saddr, const char *daddr, int payload)
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

static bool valid6(struct packet *packet)
{
	return packet->len == HEADER6 + ntohs(header6(packet)->ip6_plen) &&
	       !sum6(packet);
}

/* Sockets */

TEST_F(inet6, S2_bind_and_getsockname)
{
	struct sockaddr_in6 sin6;
	socklen_t len = sizeof(sin6);
	int fd = divert6_socket();

	EXPECT_EQ(0, bind6(fd, 0));
	EXPECT_EQ(0, getsockname(fd, (struct sockaddr *)&sin6, &len));
	EXPECT_EQ(sizeof(sin6), len);
	EXPECT_EQ(AF_INET6, sin6.sin6_family);
	EXPECT_NE(0, sin6.sin6_port);
	EXPECT_EQ(-EINVAL, bind6(fd, 1));
	len = sizeof(sin6);
	EXPECT_EQ(0, getsockname(self->fd, (struct sockaddr *)&sin6, &len));
	EXPECT_EQ(htons(PORT), sin6.sin6_port);
	len = sizeof(sin6);
	EXPECT_EQ(0, getsockname(divert6_socket(), (struct sockaddr *)&sin6,
				 &len));
	EXPECT_EQ(0, sin6.sin6_port);
}

TEST_F(inet6, S2_bind_refuses)
{
	struct sockaddr_in6 sin6 = address6("2001:db8::1", 5);
	int fd = divert6_socket();

	sin6.sin6_family = AF_INET;
	EXPECT_EQ(-EAFNOSUPPORT, errno_of(bind(fd, (struct sockaddr *)&sin6,
					       sizeof(sin6))));
	sin6.sin6_family = AF_INET6;
	EXPECT_EQ(-EINVAL, errno_of(bind(fd, (struct sockaddr *)&sin6, 23)));
	EXPECT_EQ(-EAFNOSUPPORT, errno_of(bind(divert_socket(),
					       (struct sockaddr *)&sin6,
					       sizeof(sin6))));
	/* The address is ignored, as is the scope. */
	sin6.sin6_scope_id = 77;
	sin6.sin6_port = htons(6);
	EXPECT_EQ(0, errno_of(bind(fd, (struct sockaddr *)&sin6, 24)));
}

TEST_F(inet6, V6_1_B1_families_share_the_ports)
{
	int fd = divert_socket();

	EXPECT_EQ(-EADDRINUSE, divert_bind(fd, PORT));
	EXPECT_EQ(0, divert_bind(fd, PORT + 1));
	EXPECT_EQ(-EADDRINUSE, bind6(divert6_socket(), PORT + 1));
	close(self->fd);
	EXPECT_EQ(0, divert_bind(divert_socket(), PORT));
}

TEST_F(inet6, S2_S3_privileges)
{
	caps_keep(CAP_BIT(CAP_NET_RAW));
	EXPECT_EQ(-1, socket(AF_INET6, SOCK_RAW, IPPROTO_DIVERT));
	EXPECT_EQ(EPERM, errno);
}

/* Reading */

TEST_F(inet6, V6_1_R2_incoming)
{
	mark_udp("prerouting");
	peer_sends(self->peer, "fd00::1", 10);
	ASSERT_EQ(SIZE6 + 10, read6(self->fd, &packet));
	EXPECT_TRUE(valid6(&packet));
	EXPECT_EQ(AF_INET6, from.sin6_family);
	EXPECT_EQ(COOKIE, from.sin6_port);
	EXPECT_EQ(0U, from.sin6_flowinfo);
	EXPECT_EQ((__u32)ifindex_of("v0"), from.sin6_scope_id);
	EXPECT_TRUE(is_address("fd00::1"));
}

TEST_F(inet6, V6_1_R2_incoming_v4_mapped)
{
	mark_udp("prerouting");
	peer_sends(self->peer, "10.0.0.1", 10);
	ASSERT_EQ(38, read6(self->fd, &packet));
	EXPECT_TRUE(packet_valid(&packet));
	EXPECT_EQ(AF_INET6, from.sin6_family);
	EXPECT_EQ((__u32)ifindex_of("v0"), from.sin6_scope_id);
	EXPECT_TRUE(is_address("::ffff:10.0.0.1"));
}

TEST_F(inet6, V6_1_R2_incoming_without_address)
{
	ip_batch("address flush dev v0 scope link\n"
		 "address del fd00::1/64 dev v0\n");
	mark_udp("prerouting");
	make6("fd00::2", "fd00::3", 10);
	from = address6("2001:db8::1", 0);
	from.sin6_scope_id = ifindex_of("v0");
	EXPECT_EQ(packet.len, write6(self->fd, &packet, &from));
	ASSERT_EQ(SIZE6 + 10, read6(self->fd, &packet));
	EXPECT_TRUE(is_address("::ffff:10.0.0.1"));
}

TEST_F(inet6, V6_1_R2_outgoing)
{
	int tx = udp6_open(0);

	mark_udp("output");
	udp6_send(tx, "fd00::2", 10);
	ASSERT_EQ(SIZE6 + 10, read6(self->fd, &packet));
	EXPECT_TRUE(valid6(&packet));
	EXPECT_TRUE(is_address("::"));
	EXPECT_EQ(0U, from.sin6_scope_id);

	udp_send(udp_open(NULL, 0), "10.0.0.2", 10);
	ASSERT_EQ(38, read6(self->fd, &packet));
	EXPECT_TRUE(is_address("::"));
}

/* Owners of the other family get them as well. */
TEST_F(inet6, V6_1_R2_to_an_ipv4_socket)
{
	struct sockaddr_in sin;
	int fd;

	close(self->fd);
	fd = divert_open(PORT);
	mark_udp("prerouting");
	peer_sends(self->peer, "fd00::1", 10);
	ASSERT_EQ(SIZE6 + 10, divert_read(fd, &packet, &sin));
	EXPECT_TRUE(valid6(&packet));
	EXPECT_EQ(AF_INET, sin.sin_family);
	EXPECT_EQ(COOKIE, divert_cookie(&sin));
	EXPECT_EQ(inet_addr("10.0.0.1"), sin.sin_addr.s_addr);
	EXPECT_STREQ("v0", (char *)sin.sin_zero);
	EXPECT_EQ(packet.len, divert_write(fd, &packet, &sin));
	EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));
	EXPECT_FALSE(readable(fd));
}

TEST_F(inet6, V6_1_R2_outgoing_to_an_ipv4_socket)
{
	struct sockaddr_in sin;
	int fd;

	close(self->fd);
	fd = divert_open(PORT);
	mark_udp("output");
	udp6_send(udp6_open(0), "fd00::2", 10);
	ASSERT_EQ(SIZE6 + 10, divert_read(fd, &packet, &sin));
	EXPECT_EQ(0U, sin.sin_addr.s_addr);
	EXPECT_EQ(0, sin.sin_zero[0]);
	EXPECT_EQ(packet.len, divert_write(fd, &packet, &sin));
	EXPECT_EQ(10, udp_receive(self->peer_rx, got.data, 100));
	EXPECT_FALSE(readable(fd));
}

/* Writing back; a rule without conditions proves the cookie, too. */

TEST_F(inet6, V6_2_R4_C1_incoming)
{
	mark_udp("prerouting");
	peer_sends(self->peer, "fd00::1", 10);
	ASSERT_EQ(SIZE6 + 10, read6(self->fd, &packet));
	EXPECT_FALSE(readable(self->rx));
	EXPECT_EQ(packet.len, write6(self->fd, &packet, &from));
	EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));
	EXPECT_FALSE(readable(self->fd));
	EXPECT_EQ(1, counted(&self->before, "inject_in"));
}

TEST_F(inet6, V6_1_R4_incoming_v4)
{
	mark_udp("prerouting");
	peer_sends(self->peer, "10.0.0.1", 10);
	ASSERT_EQ(38, read6(self->fd, &packet));
	EXPECT_EQ(38, write6(self->fd, &packet, &from));
	EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));
	EXPECT_FALSE(readable(self->fd));
}

TEST_F(inet6, V6_2_R4_C1_C4_outgoing)
{
	mark_udp("output");
	mark_udp("postrouting");
	udp6_send(udp6_open(0), "fd00::2", 10);
	ASSERT_EQ(SIZE6 + 10, read6(self->fd, &packet));
	EXPECT_EQ(packet.len, write6(self->fd, &packet, &from));
	EXPECT_EQ(10, udp_receive(self->peer_rx, got.data, 100));
	EXPECT_FALSE(readable(self->fd));
	EXPECT_EQ(1, counted(&self->before, "inject_out"));
}

TEST_F(inet6, V6_2_W9_sender_bound_to_device)
{
	int tx = udp6_open(0), here = ns_open();

	ip_batch("link add d1 type dummy\n"
		 "link set d1 up\n"
		 "route add fd05::/64 dev d1 metric 1\n"
		 "route add fd05::/64 dev v0 metric 9\n");
	ns_enter(self->peer);
	ip_batch("address add fd05::2/64 dev v1 nodad\n");
	ns_enter(here);
	mark_udp("output");
	ASSERT_EQ(0, errno_of(setsockopt(tx, SOL_SOCKET, SO_BINDTODEVICE,
					 "v0", 2)));
	udp6_send(tx, "fd05::2", 10);
	ASSERT_EQ(SIZE6 + 10, read6(self->fd, &packet));
	EXPECT_EQ(packet.len, write6(self->fd, &packet, &from));
	EXPECT_EQ(10, udp_receive(self->peer_rx, got.data, 100));
	EXPECT_FALSE(readable(self->fd));
}

/* Writing: where to */

TEST_F(inet6, V6_1_W3_by_scope)
{
	struct sockaddr_in6 to = address6("2001:db8::1", 0);

	make6("fd00::2", "fd00::1", 10);
	to.sin6_scope_id = ifindex_of("v0");
	EXPECT_EQ(packet.len, write6(self->fd, &packet, &to));
	EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));
	/* No such interface, and nobody's address. */
	to.sin6_scope_id = 9999;
	EXPECT_EQ(-EADDRNOTAVAIL, write6(self->fd, &packet, &to));
	to.sin6_scope_id = 0;
	EXPECT_EQ(-EADDRNOTAVAIL, write6(self->fd, &packet, &to));
	EXPECT_EQ(2, counted(&self->before, "eaddrnotavail"));
}

TEST_F(inet6, V6_1_W3_by_address)
{
	static const char * const addresses[] = {
		"fd00::1", "::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
	};
	struct sockaddr_in6 to;
	int i;

	make6("fd00::2", "fd00::1", 10);
	for (i = 0; i < ARRAY_LEN(addresses); i++) {
		to = address6(addresses[i], 0);
		EXPECT_EQ(packet.len, write6(self->fd, &packet, &to));
		EXPECT_EQ(10, udp_receive(self->rx, got.data, 100)) {
			TH_LOG("%s", addresses[i]);
		}
	}
	to = address6("fd00::1", 0);
	EXPECT_EQ(packet.len, sendto(self->fd, packet.data, packet.len, 0,
				     (struct sockaddr *)&to, 24));
	EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));

	to = address6("::ffff:192.0.2.1", 0);
	EXPECT_EQ(-EADDRNOTAVAIL, write6(self->fd, &packet, &to));
	ip_batch("link add d1 type dummy\n"
		 "address add fd07::1/64 dev d1 nodad\n");
	to = address6("2001:db8::1", 0);
	to.sin6_scope_id = ifindex_of("d1");
	EXPECT_EQ(-ENETDOWN, write6(self->fd, &packet, &to));
}

TEST_F(inet6, V6_1_W2_no_address)
{
	static const char * const addresses[] = { "::", "::ffff:0.0.0.0" };
	struct sockaddr_in6 to;
	int i;

	make6("fd00::1", "fd00::2", 10);
	EXPECT_EQ(packet.len, write6(self->fd, &packet, NULL));
	EXPECT_EQ(10, udp_receive(self->peer_rx, got.data, 100));
	for (i = 0; i < 2; i++) {
		to = address6(addresses[i], 0);
		EXPECT_EQ(packet.len, write6(self->fd, &packet, &to));
		EXPECT_EQ(10, udp_receive(self->peer_rx, got.data, 100));
	}
	EXPECT_EQ(3, counted_only(&self->before, "inject_out"));
}

TEST_F(inet6, V6_1_W3_wrong_addresses)
{
	struct sockaddr_in sin = inet_address("10.0.0.1", 0);
	struct sockaddr_in6 to = address6("fd00::1", 0);

	make6("fd00::2", "fd00::1", 10);
	EXPECT_EQ(-EINVAL, errno_of(sendto(self->fd, packet.data, packet.len, 0,
					   (struct sockaddr *)&sin,
					   sizeof(sin))));
	to.sin6_family = AF_INET;
	EXPECT_EQ(-EAFNOSUPPORT, write6(self->fd, &packet, &to));
	to.sin6_family = AF_INET6;
	EXPECT_EQ(-EINVAL, errno_of(sendto(self->fd, packet.data, packet.len, 0,
					   (struct sockaddr *)&to, 23)));
	EXPECT_EQ(-EAFNOSUPPORT,
		  errno_of(sendto(divert_socket(), packet.data, packet.len, 0,
				  (struct sockaddr *)&to, sizeof(to))));
}

/* Writing: what */

TEST_F(inet6, V6_2_W1_refused)
{
	int len;

	/* Every length too short for the header. */
	make6("fd00::1", "fd00::2", 10);
	for (len = 20; len < HEADER6; len++) {
		packet.len = len;
		EXPECT_EQ(-EINVAL, write6(self->fd, &packet, NULL));
	}
	EXPECT_EQ(HEADER6 - 20, counted_only(&self->before, "einval"));

	/* A payload that is not there. */
	make6("fd00::1", "fd00::2", 10);
	packet.len--;
	EXPECT_EQ(-EINVAL, write6(self->fd, &packet, NULL));
	header6(&packet)->ip6_plen = 0xffff;
	EXPECT_EQ(-EINVAL, write6(self->fd, &packet, NULL));

	/* A jumbogram: no length, and an option that has it. */
	make6("fd00::1", "fd00::2", 10);
	header6(&packet)->ip6_plen = 0;
	header6(&packet)->ip6_nxt = IPPROTO_HOPOPTS;
	memcpy(packet.data + HEADER6, "\x11\x00\xc2\x04\x00\x01\x00\x00", 8);
	EXPECT_EQ(-EINVAL, write6(self->fd, &packet, NULL));
	EXPECT_EQ(0, counted(&self->before, "inject_out"));
}

TEST_F(inet6, V6_2_W1_rest_is_cut_off)
{
	int len;

	make6("fd00::1", "fd00::2", 10);
	len = packet.len + 30;
	packet.len = len;
	EXPECT_EQ(len, write6(self->fd, &packet, NULL));
	EXPECT_EQ(10, udp_receive(self->peer_rx, got.data, 100));
}

TEST_F(inet6, V6_2_W1_largest)
{
	struct sockaddr_in6 to = address6("::1", 0);

	/* The length in the header, 65535 at most, does not count the header. */
	make6("::1", "::1", 40 + 65535 - SIZE6);
	EXPECT_EQ(40 + 65535, write6(self->fd, &packet, &to));
	EXPECT_EQ(40 + 65535 - SIZE6,
		  udp_receive(self->rx, got.data, 65536));
	packet.len++;
	EXPECT_EQ(-EMSGSIZE, write6(self->fd, &packet, &to));
}

TEST_F(inet6, V6_2_W2_as_written)
{
	/* Hop limit and a wrong checksum are the writer's. */
	make6("fd00::9", "fd00::2", 10);
	header6(&packet)->ip6_hlim = 7;
	mark_udp("postrouting");
	EXPECT_EQ(packet.len, write6(self->fd, &packet, NULL));
	ASSERT_EQ(packet.len, read6(self->fd, &got));
	EXPECT_TRUE(packet_equal(&packet, &got));
	udp6(&packet)->check ^= 0x1111;
	EXPECT_EQ(packet.len, write6(self->fd, &packet, NULL));
	ASSERT_EQ(packet.len, read6(self->fd, &got));
	EXPECT_TRUE(packet_equal(&packet, &got));
}

TEST_F(inet6, V6_2_W5_errors)
{
	make6("fd00::1", "2001:db8::1", 10);
	EXPECT_EQ(-ENETUNREACH, write6(self->fd, &packet, NULL));
	nft_load("table inet d {\n"
		 " chain o {\n"
		 "  type filter hook output priority 0;\n"
		 "  udp dport 5000 drop\n"
		 " }\n"
		 "}\n");
	make6("fd00::1", "fd00::2", 10);
	EXPECT_EQ(-EACCES, write6(self->fd, &packet, NULL));
	EXPECT_EQ(1, counted(&self->before, "eunreach"));
	EXPECT_EQ(1, counted(&self->before, "eacces"));
}

/* The stack's side */

TEST_F(inet6, V6_2_D6_fragments_are_reassembled)
{
	mark_udp("prerouting");
	peer_sends(self->peer, "fd00::1", 4000);
	ASSERT_EQ(SIZE6 + 4000, read6(self->fd, &packet));
	EXPECT_TRUE(valid6(&packet));
	EXPECT_EQ(packet.len, write6(self->fd, &packet, &from));
	EXPECT_EQ(4000, udp_receive(self->rx, got.data, 5000));
	EXPECT_FALSE(readable(self->fd));
}

TEST_F(inet6, V6_2_T1_copies)
{
	int watcher = divert6_socket();

	close(self->fd);
	EXPECT_EQ(0, set_int(watcher, SOL_DIVERT, DIVERT_TEE, 1));
	EXPECT_EQ(0, bind6(watcher, PORT));
	mark_udp("output");
	mark_udp("postrouting");
	udp6_send(udp6_open(0), "fd00::2", 10);
	EXPECT_EQ(10, udp_receive(self->peer_rx, got.data, 100));
	ASSERT_EQ(SIZE6 + 10, read6(watcher, &packet));
	EXPECT_TRUE(valid6(&packet));
	EXPECT_FALSE(readable(watcher));
}

TEST_F(inet6, V6_2_O5_passed_on_close)
{
	struct divert_limits limits = {
		.size = sizeof(limits), .close = DIVERT_POLICY_PASS,
	};

	EXPECT_EQ(0, setsockopt(self->fd, SOL_DIVERT, DIVERT_LIMITS, &limits,
				sizeof(limits)));
	mark_udp("prerouting");
	mark_udp("output");
	mark_udp("postrouting");
	peer_sends(self->peer, "fd00::1", 10);
	udp6_send(udp6_open(0), "fd00::2", 11);
	close(self->fd);
	EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));
	EXPECT_EQ(11, udp_receive(self->peer_rx, got.data, 100));
	EXPECT_EQ(2, counted(&self->before, "released"));
}

/* Data begin at the IP header, and there is all of it. */
TEST_F(inet6, V6_2_D10_filter)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS,
			 (__u32)(SKF_AD_OFF + SKF_AD_PROTOCOL)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 5),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, HEADER6 + 2),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UDP_PORT, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SIZE6 + 11, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 65535),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { ARRAY_LEN(code), code };

	ASSERT_EQ(0, setsockopt(self->fd, SOL_SOCKET, SO_ATTACH_FILTER,
				&program, sizeof(program)));
	mark_udp("prerouting");
	peer_sends(self->peer, "fd00::1", 10);
	EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));
	EXPECT_EQ(1, counted(&self->before, "passed"));
	peer_sends(self->peer, "fd00::1", 11);
	ASSERT_EQ(SIZE6 + 11, read6(self->fd, &packet));
	EXPECT_FALSE(readable(self->fd));
}

/* Information */

union info_control {
	struct cmsghdr cmsg;
	char space[CMSG_SPACE(sizeof(struct divert_info))];
};

static int read_info(int fd, struct divert_info *info)
{
	union info_control control;
	struct iovec iov = { packet.data, sizeof(packet.data) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};

	if (!wait_readable(fd))
		return -ETIMEDOUT;
	packet.len = recvmsg(fd, &msg, MSG_DONTWAIT);
	if (packet.len >= 0 && msg.msg_controllen < CMSG_LEN(sizeof(*info)))
		return -EBADMSG;
	memcpy(info, CMSG_DATA(&control.cmsg), sizeof(*info));
	return packet.len;
}

static int write_info(int fd, const struct divert_info *info)
{
	union info_control control = { .cmsg = {
		.cmsg_level = SOL_DIVERT,
		.cmsg_type = DIVERT_INFO,
		.cmsg_len = CMSG_LEN(sizeof(*info)),
	} };
	struct iovec iov = { packet.data, packet.len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};

	memcpy(CMSG_DATA(&control.cmsg), info, sizeof(*info));
	return errno_of(sendmsg(fd, &msg, 0));
}

TEST_F(inet6, V6_2_R5_W8_received)
{
	struct divert_info info;

	ASSERT_EQ(0, set_int(self->fd, SOL_DIVERT, DIVERT_INFO, 1));
	mark_udp("prerouting");
	peer_sends(self->peer, "fd00::1", 4000);
	ASSERT_EQ(SIZE6 + 4000, read_info(self->fd, &info));
	EXPECT_EQ(AF_INET6, info.family);
	EXPECT_EQ(DIVERT_HOOK_PRE_ROUTING, info.hook);
	EXPECT_EQ(ifindex_of("v0"), (int)info.iif);
	EXPECT_EQ(COOKIE, info.cookie);
	EXPECT_EQ(SIZE6 + 4000, (int)info.len);
	EXPECT_TRUE(info.flags & DIVERT_INFO_REASSEMBLED);
	EXPECT_LT(1000, (int)info.frag_max);
	EXPECT_GE(1500, (int)info.frag_max);

	/* Enough to bring it back, without an address. */
	EXPECT_EQ(0, write_info(self->fd, &info));
	EXPECT_EQ(4000, udp_receive(self->rx, got.data, 5000));
}

TEST_F(inet6, V6_2_R5_W8_locally_made)
{
	struct divert_info info;

	ASSERT_EQ(0, set_int(self->fd, SOL_DIVERT, DIVERT_INFO, 1));
	mark_udp("output");
	udp6_send(udp6_open(0), "fd00::2", 10);
	ASSERT_EQ(SIZE6 + 10, read_info(self->fd, &info));
	EXPECT_EQ(AF_INET6, info.family);
	EXPECT_EQ(DIVERT_HOOK_LOCAL_OUT, info.hook);
	EXPECT_EQ(0, (int)info.iif);
	EXPECT_EQ(ifindex_of("v0"), (int)info.oif);
	EXPECT_TRUE(info.flags & DIVERT_INFO_SENDER);
	EXPECT_EQ(0, write_info(self->fd, &info));
	EXPECT_EQ(10, udp_receive(self->peer_rx, got.data, 100));
}

/* Fan-out */

/* Which of the four has one packet; -1 if it is not exactly one. */
static int taken_by(const int member[4])
{
	int i, taker = -1;

	for (i = 0; i < 4; i++) {
		if (!readable(member[i]))
			continue;
		if (taker >= 0 || read6(member[i], &got) != SIZE6 + 1 ||
		    readable(member[i]))
			return -1;
		taker = i;
	}
	return taker;
}

static int port6_of(int fd)
{
	struct sockaddr_in6 sin6;
	socklen_t len = sizeof(sin6);

	if (getsockname(fd, (struct sockaddr *)&sin6, &len))
		die("getsockname");
	return ntohs(sin6.sin6_port);
}

TEST_F(inet6, V6_2_B4_both_directions_meet)
{
	int member[4], flows[4] = { }, i, flow, there;
	struct sockaddr_in6 back;

	close(self->fd);
	for (i = 0; i < 4; i++) {
		member[i] = divert6_socket();
		ASSERT_EQ(0, set_int(member[i], SOL_SOCKET, SO_REUSEPORT, 1));
		ASSERT_EQ(0, bind6(member[i], PORT));
	}
	nft_load("table ip6 m {\n"
		 " chain o {\n"
		 "  type filter hook output priority mangle;\n"
		 "  udp dport %d meta mark set 0x%x\n"
		 "  udp sport %d meta mark set 0x%x\n"
		 " }\n"
		 "}\n", UDP_PORT, MARK(PORT, COOKIE), UDP_PORT,
		 MARK(PORT, COOKIE));
	for (i = 0; i < 64; i++) {
		flow = udp6_open(0);
		udp6_send(flow, "::1", 1);
		there = taken_by(member);
		ASSERT_LE(0, there);
		flows[there]++;
		back = address6("::1", port6_of(flow));
		ASSERT_EQ(1, sendto(self->rx, "x", 1, 0,
				    (struct sockaddr *)&back, sizeof(back)));
		EXPECT_EQ(there, taken_by(member));
		close(flow);
	}
	for (i = 0; i < 4; i++)
		EXPECT_LT(0, flows[i]);
}

TEST_HARNESS_MAIN
