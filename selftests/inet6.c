// SPDX-License-Identifier: GPL-2.0
/*
 * IPv6: sockets with its addresses, and its packets written to them.
 *
 * TIMEOUT=240
 */

#include <linux/capability.h>
#include <stdio.h>
#include <sys/fsuid.h>

#include "inet6_test.h"
#include "kselftest_harness.h"

FIXTURE(inet6)
{
	int peer;
	int fd;			/* AF_INET6, on PORT */
	int rx;			/* gets what comes to this host */
	int peer_rx;
	struct counters before;
};

FIXTURE_SETUP(inet6)
{
	ns_new();
	self->peer = link6_new();
	self->peer_rx = peer_receiver(self->peer);
	self->fd = divert6_open(PORT);
	self->rx = udp6_open(UDP_PORT);
	counters_read(&self->before);
}

FIXTURE_TEARDOWN(inet6)
{
	EXPECT_FALSE(readable(self->rx));
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
	EXPECT_EQ(1, counted(&self->before, "resumed"));
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

/* Routing */

/* Only what makes the packet special has a way. */
TEST_F_TIMEOUT(inet6, V6_2_W2_policy_routes, 100)
{
	static const char * const rules[] = {
		"from fd00::1/128", "to fd09::2/128", "tos 0x10",
		"ipproto udp", "sport 4000", "dport 5000", "uidrange 77-77",
		"fwmark 0x77",
	};
	int peer = peer_divert(self->peer), fd, i;

	ip_batch("route add blackhole fd09::/64\n"
		 "route add fd09::/64 via fd00::2 table 5\n");
	setfsuid(77);
	fd = divert6_socket();
	setfsuid(0);
	EXPECT_EQ(0, set_int(fd, SOL_SOCKET, SO_MARK, 0x77));
	make6("fd00::1", "fd09::2", 10);
	header6(&packet)->ip6_flow = htonl(6U << 28 | 0x10 << 20);
	for (i = 0; i < ARRAY_LEN(rules); i++) {
		EXPECT_GT(0, write6(fd, &packet, NULL));
		policy6("add", rules[i]);
		EXPECT_EQ(packet.len, write6(fd, &packet, NULL)) {
			TH_LOG("%s", rules[i]);
		}
		EXPECT_EQ(packet.len, read6(peer, &got)) {
			TH_LOG("%s", rules[i]);
		}
		policy6("del", rules[i]);
	}
}

/* The destination does not say on which link it is. */
TEST_F(inet6, V6_2_W9_link_local)
{
	struct sockaddr_in6 to = address6("fe80::2", UDP_PORT);
	int here = ns_open(), tx = udp6_open(0);

	ns_enter(self->peer);
	ip_batch("address add fe80::2/64 dev v1 nodad\n");
	ns_enter(here);
	ip_batch("address add fe80::1/64 dev v0 nodad\n"
		 "link add d1 type dummy\n"
		 "link set d1 up\n"
		 "route add fe80::/64 dev d1 metric 1\n");
	mark_udp("output");
	to.sin6_scope_id = ifindex_of("v0");
	ASSERT_EQ(1, sendto(tx, "x", 1, 0, (struct sockaddr *)&to,
			    sizeof(to)));
	ASSERT_EQ(SIZE6 + 1, read6(self->fd, &packet));
	EXPECT_EQ(packet.len, write6(self->fd, &packet, &from));
	EXPECT_EQ(1, udp_receive(self->peer_rx, got.data, 100));
}

/* Multicast: options of the socket */

static void multicast_by(int fd, const char *device)
{
	if (set_int(fd, SOL_IPV6, IPV6_MULTICAST_IF, ifindex_of(device)))
		die("IPV6_MULTICAST_IF");
}

TEST_F(inet6, V6_2_S7_multicast_if)
{
	int peer = peer_divert(self->peer);

	ip_batch("link add d1 type dummy\n"
		 "link set d1 up\n");
	multicast_by(self->fd, "d1");
	make6("fd00::1", "ff05::77", 10);
	EXPECT_EQ(packet.len, write6(self->fd, &packet, NULL));
	multicast_by(self->fd, "v0");
	make6("fd00::1", "ff05::77", 11);
	EXPECT_EQ(packet.len, write6(self->fd, &packet, NULL));
	EXPECT_EQ(SIZE6 + 11, read6(peer, &got));
	EXPECT_FALSE(readable(peer));
	/* Others go their own way. */
	multicast_by(self->fd, "d1");
	make6("fd00::1", "fd00::2", 12);
	EXPECT_EQ(packet.len, write6(self->fd, &packet, NULL));
	EXPECT_EQ(SIZE6 + 12, read6(peer, &got));
}

TEST_F(inet6, V6_2_S7_multicast_hops)
{
	static const struct {
		const char *to;
		int option;
		int hops;
	} tests[] = {
		{ "ff05::77", 9, 9 },
		{ "fd00::2", 9, 64 },
		{ "ff05::77", -1, 64 },
	};
	int peer = peer_divert(self->peer), i;

	multicast_by(self->fd, "v0");
	for (i = 0; i < ARRAY_LEN(tests); i++) {
		EXPECT_EQ(0, set_int(self->fd, SOL_IPV6, IPV6_MULTICAST_HOPS,
				     tests[i].option));
		make6("fd00::1", tests[i].to, 10);
		EXPECT_EQ(packet.len, write6(self->fd, &packet, NULL));
		ASSERT_EQ(packet.len, read6(peer, &got));
		EXPECT_EQ(tests[i].hops, header6(&got)->ip6_hlim) {
			TH_LOG("%d", i);
		}
	}
}

TEST_F(inet6, V6_2_S7_multicast_loop)
{
	int fd4 = divert_socket();
	struct ipv6_mreq group = {
		.ipv6mr_interface = ifindex_of("v0"),
	};

	inet_pton(AF_INET6, "ff05::77", &group.ipv6mr_multiaddr);
	ASSERT_EQ(0, setsockopt(self->rx, SOL_IPV6, IPV6_ADD_MEMBERSHIP, &group,
				sizeof(group)));
	multicast_by(self->fd, "v0");
	make6("fd00::1", "ff05::77", 10);
	EXPECT_EQ(packet.len, write6(self->fd, &packet, NULL));
	EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));
	EXPECT_EQ(0, set_int(self->fd, SOL_IPV6, IPV6_MULTICAST_LOOP, 0));
	EXPECT_EQ(packet.len, write6(self->fd, &packet, NULL));

	/* What counts is the option of the socket's own family. */
	EXPECT_EQ(0, errno_of(setsockopt(fd4, SOL_SOCKET, SO_BINDTODEVICE,
					 "v0", 2)));
	make6("fd00::1", "ff05::77", 11);
	EXPECT_EQ(packet.len, write6(fd4, &packet, NULL));
	EXPECT_EQ(11, udp_receive(self->rx, got.data, 100));
	EXPECT_EQ(0, set_int(fd4, SOL_IP, IP_MULTICAST_LOOP, 0));
	EXPECT_EQ(packet.len, write6(fd4, &packet, NULL));
	EXPECT_EQ(4, counted(&self->before, "inject_out"));
}

TEST_HARNESS_MAIN
