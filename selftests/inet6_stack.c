// SPDX-License-Identifier: GPL-2.0
/*
 * IPv6: what becomes of its packets in the stack, and what is told of them.
 *
 * TIMEOUT=120
 */

#include <linux/filter.h>
#include <linux/if_ether.h>
#include <stdio.h>

#include "inet6_test.h"
#include "kselftest_harness.h"

FIXTURE(stack6)
{
	int peer;
	int fd;			/* AF_INET6, on PORT */
	int rx;			/* gets what comes to this host */
	int peer_rx;
	struct counters before;
};

FIXTURE_SETUP(stack6)
{
	ns_new();
	self->peer = link6_new();
	self->peer_rx = peer_receiver(self->peer);
	self->fd = divert6_open(PORT);
	self->rx = udp6_open(UDP_PORT);
	counters_read(&self->before);
}

FIXTURE_TEARDOWN(stack6)
{
	EXPECT_FALSE(readable(self->rx));
}

TEST_F(stack6, V6_2_D6_fragments_are_reassembled)
{
	mark_udp("prerouting");
	peer_sends(self->peer, "fd00::1", 4000);
	ASSERT_EQ(SIZE6 + 4000, read6(self->fd, &packet));
	EXPECT_TRUE(valid6(&packet));
	EXPECT_EQ(packet.len, write6(self->fd, &packet, &from));
	EXPECT_EQ(4000, udp_receive(self->rx, got.data, 5000));
	EXPECT_FALSE(readable(self->fd));
}

TEST_F(stack6, V6_2_T1_copies)
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

TEST_F(stack6, V6_2_O5_passed_on_close)
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
TEST_F(stack6, V6_2_D10_filter)
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

TEST_F(stack6, V6_2_D10_rejected_at_each_hook)
{
	static const char * const hooks[] = {
		"prerouting", "output", "postrouting",
	};
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog program = { ARRAY_LEN(code), code };
	int tx = udp6_open(0), i;

	ASSERT_EQ(0, setsockopt(self->fd, SOL_SOCKET, SO_ATTACH_FILTER,
				&program, sizeof(program)));
	for (i = 0; i < ARRAY_LEN(hooks); i++) {
		nft_load("flush ruleset\n");
		mark_udp(hooks[i]);
		udp6_send(tx, "::1", 10 + i);
		EXPECT_EQ(10 + i, udp_receive(self->rx, got.data, 100));
		EXPECT_EQ(i + 1, counted(&self->before, "passed"));
	}
}

TEST_F(stack6, V6_2_D10_ebpf)
{
	int reject = bpf_return(0), accept = bpf_return(1);

	if (reject < 0)
		SKIP(return, "no bpf() here");
	mark_udp("prerouting");
	EXPECT_EQ(0, set_int(self->fd, SOL_SOCKET, SO_ATTACH_BPF, reject));
	peer_sends(self->peer, "fd00::1", 10);
	EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));
	EXPECT_EQ(1, counted_only(&self->before, "passed"));
	/* Accepted, even by 1, it is whole. */
	EXPECT_EQ(0, set_int(self->fd, SOL_SOCKET, SO_ATTACH_BPF, accept));
	peer_sends(self->peer, "fd00::1", 11);
	ASSERT_EQ(SIZE6 + 11, read6(self->fd, &packet));
	EXPECT_TRUE(valid6(&packet));
}

/* Extension headers */

/* packet with 8 bytes of destination options. */
static void make6_extended(const char *saddr, const char *daddr, int payload)
{
	struct ip6_hdr *ip6 = header6(&packet);
	static const __u8 options[8] = { IPPROTO_UDP, 0, 1, 4 };

	make6(saddr, daddr, payload);
	memmove(packet.data + HEADER6 + 8, packet.data + HEADER6,
		packet.len - HEADER6);
	memcpy(packet.data + HEADER6, options, 8);
	packet.len += 8;
	ip6->ip6_plen = htons(packet.len - HEADER6);
	ip6->ip6_nxt = IPPROTO_DSTOPTS;
}

TEST_F(stack6, V6_2_D4_extension_headers_are_kept)
{
	struct sockaddr_in6 to = address6("fd00::1", 0);

	mark_udp("prerouting");
	mark_udp("output");
	make6_extended("fd00::2", "fd00::1", 10);
	EXPECT_EQ(packet.len, write6(self->fd, &packet, &to));
	ASSERT_EQ(packet.len, read6(self->fd, &got));
	EXPECT_TRUE(packet_equal(&packet, &got));
	EXPECT_EQ(packet.len, write6(self->fd, &got, &from));
	EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));

	make6_extended("fd00::1", "fd00::2", 11);
	EXPECT_EQ(packet.len, write6(self->fd, &packet, NULL));
	ASSERT_EQ(packet.len, read6(self->fd, &got));
	EXPECT_TRUE(packet_equal(&packet, &got));
	EXPECT_EQ(packet.len, write6(self->fd, &got, &from));
	EXPECT_EQ(11, udp_receive(self->peer_rx, got.data, 100));
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
		.msg_name = &from, .msg_namelen = sizeof(from),
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

TEST_F(stack6, V6_2_R5_W8_received)
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

/* A VLAN's device, in address and message; the tag has been taken off. */
TEST_F(stack6, V6_2_R3_R5_vlan_device)
{
	struct divert_info info;
	int here = ns_open();

	ns_enter(self->peer);
	ip_batch("link add link v1 name v1.5 type vlan id 5\n"
		 "address add fd05::2/64 dev v1.5 nodad\n"
		 "link set v1.5 up\n");
	ns_enter(here);
	ip_batch("link add link v0 name v0.5 type vlan id 5\n"
		 "address add fd05::1/64 dev v0.5 nodad\n"
		 "link set v0.5 up\n");
	EXPECT_EQ(0, set_int(self->fd, SOL_DIVERT, DIVERT_INFO, 1));
	mark_udp("prerouting");
	peer_sends(self->peer, "fd05::1", 10);
	ASSERT_EQ(SIZE6 + 10, read_info(self->fd, &info));
	EXPECT_EQ((__u32)ifindex_of("v0.5"), from.sin6_scope_id);
	EXPECT_TRUE(is_address("fd05::1"));
	EXPECT_EQ((__u32)ifindex_of("v0.5"), info.iif);
	EXPECT_STREQ("v0.5", info.ifname);
	EXPECT_EQ(0U, info.flags & DIVERT_INFO_VLAN);
}

TEST_F(stack6, V6_2_R5_W8_locally_made)
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

TEST_F(stack6, V6_2_W8_mark_and_way_out)
{
	struct divert_info info = {
		.size = sizeof(info), .hook = DIVERT_HOOK_LOCAL_OUT,
	};

	ip_batch("link add d1 type dummy\n"
		 "link set d1 up\n"
		 "route add blackhole fd09::/64\n"
		 "route add fd00::/64 dev v0 table 5\n"
		 "route add fd09::/64 via fd00::2 dev v0 table 5\n"
		 "route add fd00::2/128 dev d1 metric 1\n");
	policy6("add", "fwmark 0x77");
	make6("fd00::1", "fd00::2", 10);
	info.mark = 0x77;
	EXPECT_EQ(0, write_info(self->fd, &info));
	EXPECT_EQ(10, udp_receive(self->peer_rx, got.data, 100));
	/* The main table's way. */
	info.mark = 0;
	EXPECT_EQ(0, write_info(self->fd, &info));
	make6("fd00::1", "fd00::2", 11);
	info.flags = DIVERT_INFO_OIF;
	info.oif = ifindex_of("v0");
	EXPECT_EQ(0, write_info(self->fd, &info));
	EXPECT_EQ(11, udp_receive(self->peer_rx, got.data, 100));
	EXPECT_EQ(3, counted_only(&self->before, "inject_out"));
}

TEST_F(stack6, V6_2_W8_interface_and_cookie)
{
	struct divert_info info = {
		.size = sizeof(info), .hook = DIVERT_HOOK_PRE_ROUTING,
		.iif = ifindex_of("v0"), .cookie = COOKIE,
	};

	mark_udp("prerouting");
	make6("fd00::2", "fd00::1", 10);
	EXPECT_EQ(0, write_info(self->fd, &info));
	EXPECT_EQ(10, udp_receive(self->rx, got.data, 100));
	EXPECT_FALSE(readable(self->fd));
	info.cookie = COOKIE - 1;
	EXPECT_EQ(0, write_info(self->fd, &info));
	EXPECT_EQ(SIZE6 + 10, read6(self->fd, &got));
	info.iif = 9999;
	EXPECT_EQ(-EADDRNOTAVAIL, write_info(self->fd, &info));
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

TEST_F(stack6, V6_2_B4_both_directions_meet)
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

/* Sockets of both families share a port, and packets of both. */
TEST_F(stack6, V6_1_B4_members_of_both_families)
{
	int member[4], taken[2] = { }, i, flow, taker;

	close(self->fd);
	for (i = 0; i < 4; i++) {
		member[i] = i % 2 ? divert6_socket() : divert_socket();
		ASSERT_EQ(0, set_int(member[i], SOL_SOCKET, SO_REUSEPORT, 1));
		ASSERT_EQ(0, i % 2 ? bind6(member[i], PORT) :
				     divert_bind(member[i], PORT));
	}
	mark_udp("output");
	for (i = 0; i < 64; i++) {
		flow = udp6_open(0);
		udp6_send(flow, i % 2 ? "::1" : "::ffff:127.0.0.1", 1);
		for (taker = 0; taker < 4 && !readable(member[taker]); taker++)
			;
		ASSERT_GT(4, taker);
		EXPECT_EQ(i % 2 ? SIZE6 + 1 : 29,
			  recv(member[taker], got.data, 100, MSG_DONTWAIT));
		taken[taker % 2]++;
		close(flow);
	}
	EXPECT_EQ(64, counted(&self->before, "diverted"));
	EXPECT_LT(0, taken[0]);
	EXPECT_LT(0, taken[1]);
}

TEST_HARNESS_MAIN
