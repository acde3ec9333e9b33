// SPDX-License-Identifier: GPL-2.0
/*
 * Sockets that share a port: who may, and who gets which packet.
 *
 * TIMEOUT=240
 */

#include <linux/bpf.h>
#include <linux/filter.h>
#include <poll.h>
#include <stdio.h>
#include <sys/fsuid.h>

#include "divert_test.h"
#include "kselftest_harness.h"

#define FLOWS	400

static struct packet got;

/* Each flow is a socket that sends to "far"; all that is sent is diverted. */
static int flow[FLOWS];
static int flow_port[FLOWS];
static int far;

FIXTURE(group)
{
	int unused;
};

FIXTURE_SETUP(group)
{
	int i;

	ns_new();
	far = udp_open(LOOP, MARK(PORT, COOKIE));
	for (i = 0; i < FLOWS; i++) {
		struct sockaddr_in sin = inet_address(LOOP, 0);
		socklen_t len = sizeof(sin);

		flow[i] = udp_open(NULL, MARK(PORT, COOKIE));
		if (bind(flow[i], (struct sockaddr *)&sin, len) ||
		    getsockname(flow[i], (struct sockaddr *)&sin, &len))
			die("flow");
		flow_port[i] = ntohs(sin.sin_port);
	}
}

FIXTURE_TEARDOWN(group)
{
}

static int sharing_socket(void)
{
	int fd = divert_socket();

	if (set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1))
		die("SO_REUSEPORT");
	return fd;
}

static int member_open(void)
{
	int fd = sharing_socket();

	if (divert_bind(fd, PORT))
		die("member of port %d", PORT);
	return fd;
}

static void members_open(int *member, int n)
{
	int i;

	for (i = 0; i < n; i++)
		member[i] = member_open();
}

static void send_there(int i, int payload)
{
	udp_send(flow[i], LOOP, payload);
}

static void send_back(int i)
{
	struct sockaddr_in sin = inet_address(LOOP, flow_port[i]);

	if (sendto(far, "x", 1, 0, (struct sockaddr *)&sin, sizeof(sin)) != 1)
		die("send back");
}

/* Which of these has one packet; -1 if it is not exactly one. */
static int taken_by(const int *member, int n)
{
	int i, taker = -1;

	for (i = 0; i < n; i++) {
		if (!readable(member[i]))
			continue;
		if (taker >= 0 || divert_read(member[i], &got, NULL) < 28 ||
		    readable(member[i]))
			return -1;
		taker = i;
	}
	return taker;
}

/* To whom each flow goes; returns the number that go to nobody. */
static int map_flows(const int *member, int n, int *map)
{
	int i, lost = 0;

	for (i = 0; i < FLOWS; i++) {
		send_there(i, 1);
		map[i] = taken_by(member, n);
		lost += map[i] < 0;
	}
	return lost;
}

static int flows_of(const int *map, int member)
{
	int i, n = 0;

	for (i = 0; i < FLOWS; i++)
		n += map[i] == member;
	return n;
}

/* Who may share */

TEST_F(group, B4_all_set_reuseport)
{
	int fd = divert_socket(), sharing = sharing_socket();

	ASSERT_EQ(0, divert_bind(fd, PORT));
	EXPECT_EQ(-EADDRINUSE, divert_bind(sharing, PORT));
	close(fd);
	EXPECT_EQ(0, divert_bind(sharing, PORT));
	EXPECT_EQ(-EADDRINUSE, divert_bind(divert_socket(), PORT));
	EXPECT_EQ(0, divert_bind(sharing_socket(), PORT));
	EXPECT_EQ(PORT, divert_port(sharing));
}

/* Setting it on a bound socket that did not is too late only for bind. */
TEST_F(group, B4_refused_bind_can_be_tried_again)
{
	int first = member_open(), fd = divert_socket();

	EXPECT_EQ(-EADDRINUSE, divert_bind(fd, PORT));
	EXPECT_EQ(0, set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1));
	EXPECT_EQ(0, divert_bind(fd, PORT));
	close(first);
	EXPECT_EQ(PORT, divert_port(fd));
}

TEST_F(group, B4_one_user)
{
	int first = member_open(), second;

	setfsuid(65534);
	second = sharing_socket();
	setfsuid(0);
	EXPECT_EQ(-EADDRINUSE, divert_bind(second, PORT));
	EXPECT_EQ(0, divert_bind(second, PORT + 1));
	EXPECT_EQ(-EADDRINUSE, divert_bind(sharing_socket(), PORT + 1));

	/* Whoever comes first. */
	close(first);
	close(second);
	EXPECT_EQ(0, divert_bind(sharing_socket(), PORT + 1));
}

TEST_F(group, B4_port_is_free_after_the_last)
{
	int fd[3];

	members_open(fd, 3);
	close(fd[1]);
	close(fd[0]);
	EXPECT_EQ(-EADDRINUSE, divert_bind(divert_socket(), PORT));
	close(fd[2]);
	EXPECT_EQ(0, divert_bind(divert_socket(), PORT));
}

TEST_F(group, B4_watchers_are_no_members)
{
	int watcher = sharing_socket(), fd[2], i;

	EXPECT_EQ(0, set_int(watcher, SOL_DIVERT, DIVERT_TEE, 1));
	EXPECT_EQ(0, divert_bind(watcher, PORT));
	members_open(fd, 2);
	for (i = 0; i < 20; i++) {
		send_there(i, 1);
		EXPECT_LE(0, taken_by(fd, 2));
		EXPECT_EQ(0, taken_by(&watcher, 1));
	}
}

TEST_F(group, B4_as_many_as_there_are_slots)
{
	static int fd[256];
	int i;

	for (i = 0; i < 256; i++) {
		/* There are not that many descriptors. */
		close(flow[i]);
		fd[i] = sharing_socket();
		ASSERT_EQ(0, divert_bind(fd[i], PORT));
	}
	EXPECT_EQ(-ENOSPC, divert_bind(sharing_socket(), PORT));
	for (i = 256; i < 300; i++) {
		send_there(i, 1);
		EXPECT_LE(0, taken_by(fd, 256));
	}
	close(fd[7]);
	EXPECT_EQ(0, divert_bind(sharing_socket(), PORT));
}

/* Who gets what */

TEST_F(group, B4_both_directions_meet)
{
	int fd[4], map[FLOWS], i, astray = 0;

	members_open(fd, 4);
	EXPECT_EQ(0, map_flows(fd, 4, map));
	for (i = 0; i < FLOWS; i++) {
		send_back(i);
		astray += taken_by(fd, 4) != map[i];
	}
	EXPECT_EQ(0, astray);
}

TEST_F(group, B4_a_flow_stays_and_keeps_its_order)
{
	int fd[4], taker, i;

	members_open(fd, 4);
	send_there(0, 1);
	taker = taken_by(fd, 4);
	ASSERT_LE(0, taker);
	for (i = 0; i < 100; i++)
		send_there(0, i);
	for (i = 0; i < 100; i++)
		ASSERT_EQ(28 + i, divert_read(fd[taker], &got, NULL));
	EXPECT_EQ(-1, taken_by(fd, 4));
}

/* With 400 flows for four, 100 give or take 14 are to be expected. */
TEST_F(group, B4_evenly)
{
	int fd[4], map[FLOWS], i;

	members_open(fd, 4);
	EXPECT_EQ(0, map_flows(fd, 4, map));
	for (i = 0; i < 4; i++) {
		EXPECT_LT(35, flows_of(map, i));
		EXPECT_GT(190, flows_of(map, i));
	}
}

TEST_F(group, B4_leaving_moves_its_flows_only)
{
	int fd[4], before[FLOWS], after[FLOWS], left[3], i, moved = 0;

	members_open(fd, 4);
	EXPECT_EQ(0, map_flows(fd, 4, before));
	close(fd[1]);
	left[0] = fd[0];
	left[1] = fd[2];
	left[2] = fd[3];
	EXPECT_EQ(0, map_flows(left, 3, after));
	for (i = 0; i < FLOWS; i++) {
		/* As they were numbered before. */
		after[i] += after[i] > 0;
		if (before[i] != 1)
			moved += after[i] != before[i];
	}
	EXPECT_EQ(0, moved);
	/* Each of the others has some of them. */
	for (i = 0; i < 4; i++)
		if (i != 1)
			EXPECT_LT(flows_of(before, i), flows_of(after, i));
}

TEST_F(group, B4_joining_takes_its_share_only)
{
	int fd[5], before[FLOWS], after[FLOWS], i, moved = 0;

	members_open(fd, 4);
	EXPECT_EQ(0, map_flows(fd, 4, before));
	fd[4] = member_open();
	EXPECT_EQ(0, map_flows(fd, 5, after));
	for (i = 0; i < FLOWS; i++)
		if (after[i] != 4)
			moved += after[i] != before[i];
	EXPECT_EQ(0, moved);
	/* A fifth of all: 80 give or take 13. */
	EXPECT_LT(20, flows_of(after, 4));
	EXPECT_GT(160, flows_of(after, 4));

	/* It goes: all is as before. */
	close(fd[4]);
	EXPECT_EQ(0, map_flows(fd, 4, after));
	EXPECT_EQ(0, memcmp(before, after, sizeof(before)));
}

TEST_F(group, B4_shut_down_member_gets_none)
{
	int fd[3], map[FLOWS];

	members_open(fd, 3);
	shutdown(fd[1], SHUT_RD);
	/* Its descriptor is readable now: that is the end, no packet. */
	fd[1] = fd[2];
	EXPECT_EQ(0, map_flows(fd, 2, map));
	EXPECT_LT(0, flows_of(map, 0));
	EXPECT_LT(0, flows_of(map, 1));
}

/* What one has read another may write. */
TEST_F(group, B4_written_by_any)
{
	struct sockaddr_in from;
	int fd[2], taker, i;

	members_open(fd, 2);
	for (i = 0; i < 20; i++) {
		send_there(i, 10);
		taker = readable(fd[1]);
		ASSERT_EQ(38, divert_read(fd[taker], &got, &from));
		ASSERT_EQ(38, divert_write(fd[!taker], &got, &from));
		ASSERT_EQ(10, udp_receive(far, got.data, 100));
		EXPECT_EQ(-1, taken_by(fd, 2));
	}
}

/* A program chooses */

/* By the source port's last bit; the data begin at the IP header. */
static int attach_by_port(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 20),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct sock_fprog program = { ARRAY_LEN(code), code };

	return errno_of(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF,
				   &program, sizeof(program)));
}

static int wrong_by_port(const int *fd, int n)
{
	int map[FLOWS], i, wrong = map_flows(fd, n, map);

	for (i = 0; i < FLOWS; i++)
		wrong += map[i] != flow_port[i] % 2;
	return wrong;
}

TEST_F(group, B4_cbpf_chooses)
{
	int fd[3];

	members_open(fd, 3);
	EXPECT_EQ(0, attach_by_port(fd[2]));
	EXPECT_EQ(0, wrong_by_port(fd, 3));
	/* It belongs to the group. */
	close(fd[2]);
	EXPECT_EQ(0, wrong_by_port(fd, 2));
}

TEST_F(group, B4_cbpf_before_bind)
{
	int fd[2] = { sharing_socket(), sharing_socket() };

	EXPECT_EQ(0, attach_by_port(fd[0]));
	EXPECT_EQ(0, divert_bind(fd[0], PORT));
	EXPECT_EQ(0, divert_bind(fd[1], PORT));
	EXPECT_EQ(0, wrong_by_port(fd, 2));
}

TEST_F(group, B4_ebpf_chooses)
{
	int fd[3], map[FLOWS], program = bpf_return(2);

	members_open(fd, 3);
	if (program < 0)
		SKIP(return, "no bpf() here");
	EXPECT_EQ(0, set_int(fd[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF,
			     program));
	EXPECT_EQ(0, map_flows(fd, 3, map));
	EXPECT_EQ(FLOWS, flows_of(map, 2));
	/* There is no third member any more: as without a program. */
	close(fd[2]);
	EXPECT_EQ(0, map_flows(fd, 2, map));
	EXPECT_LT(0, flows_of(map, 0));
	EXPECT_LT(0, flows_of(map, 1));
}

/* By the source port's last bit, like the classic one. */
TEST_F(group, B4_ebpf_chooses_by_packet)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
		{ .code = BPF_LD | BPF_H | BPF_ABS, .imm = 20 },
		{ .code = BPF_ALU64 | BPF_AND | BPF_K, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd[3], program = bpf_load(code, ARRAY_LEN(code));

	members_open(fd, 3);
	if (program < 0)
		SKIP(return, "no bpf() here");
	EXPECT_EQ(0, set_int(fd[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF,
			     program));
	EXPECT_EQ(0, wrong_by_port(fd, 3));
	/* It belongs to the group. */
	close(fd[2]);
	EXPECT_EQ(0, wrong_by_port(fd, 2));
	EXPECT_EQ(0, set_int(fd[0], SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0));
	EXPECT_NE(0, wrong_by_port(fd, 2));
}

TEST_F(group, B4_program_needs_reuseport)
{
	EXPECT_EQ(-EINVAL, attach_by_port(divert_socket()));
}

/* Counters */

static __u64 diverted(int fd)
{
	struct divert_stats stats = { };
	socklen_t len = sizeof(stats);

	if (getsockopt(fd, SOL_DIVERT, DIVERT_STATS, &stats, &len))
		die("DIVERT_STATS");
	return stats.diverted;
}

TEST_F(group, O6_of_each_member)
{
	int fd[4], map[FLOWS], i;
	struct counters before;
	__u64 sum = 0;

	counters_read(&before);
	members_open(fd, 4);
	EXPECT_EQ(0, map_flows(fd, 4, map));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ((__u64)flows_of(map, i), diverted(fd[i]));
		sum += diverted(fd[i]);
	}
	EXPECT_EQ((__u64)FLOWS, sum);
	EXPECT_EQ(FLOWS, counted(&before, "diverted"));
	EXPECT_EQ(FLOWS, counted(&before, "read"));
}

TEST_HARNESS_MAIN
