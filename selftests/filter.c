// SPDX-License-Identifier: GPL-2.0
/*
 * Filters on a divert socket: what they reject stays in the stack.
 *
 * TIMEOUT=120
 */

#include <linux/filter.h>
#include <linux/if_ether.h>
#include <stdio.h>

#include "divert_test.h"
#include "kselftest_harness.h"

static struct packet got;

FIXTURE(filter)
{
	struct loop loop;
	struct counters before;
};

FIXTURE_SETUP(filter)
{
	loop_open(&self->loop);
	counters_read(&self->before);
}

/* The packet that was there before any filter can be read whatever it says. */
FIXTURE_TEARDOWN(filter)
{
	EXPECT_TRUE(loop_pass(&self->loop, LOOP_WAITING));
	EXPECT_FALSE(readable(self->loop.fd));
	EXPECT_FALSE(readable(self->loop.rx));
}

static int attach(int fd, struct sock_filter *code, int n)
{
	struct sock_fprog program = { n, code };

	return errno_of(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
				   sizeof(program)));
}

static int attach_return(int fd, __u32 value)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, value) };

	return attach(fd, code, ARRAY_LEN(code));
}

/* A packet comes to its receiver without being read. */
static bool left_alone(const struct loop *loop, int payload)
{
	loop_send(loop, payload);
	return udp_receive(loop->rx, got.data, sizeof(got.data)) == payload;
}

/* A packet is read, behind the one that has been waiting. */
static int queued(const struct loop *loop, int payload)
{
	loop_send(loop, payload);
	if (recv(loop->fd, got.data, sizeof(got.data), MSG_DONTWAIT) !=
	    28 + LOOP_WAITING)
		return -1;
	got.len = recv(loop->fd, got.data, sizeof(got.data), MSG_DONTWAIT);
	/* For the end of the test. */
	setsockopt(loop->fd, SOL_SOCKET, SO_DETACH_FILTER, "\0\0\0", 4);
	loop_send(loop, LOOP_WAITING);
	return got.len;
}

TEST_F(filter, D10_rejected_is_left_in_the_stack)
{
	ASSERT_EQ(0, attach_return(self->loop.fd, 0));
	EXPECT_TRUE(left_alone(&self->loop, 10));
	EXPECT_TRUE(left_alone(&self->loop, 11));
	EXPECT_EQ(2, counted_only(&self->before, "passed"));
}

TEST_F(filter, D10_rejected_at_each_hook)
{
	static const char * const hooks[] = { "prerouting", "output",
					      "postrouting" };
	int i;

	set_int(self->loop.tx, SOL_SOCKET, SO_MARK, 0);
	ASSERT_EQ(0, attach_return(self->loop.fd, 0));
	for (i = 0; i < ARRAY_LEN(hooks); i++) {
		nft_load("flush ruleset\n");
		nft_mark_udp(hooks[i], MARK(PORT, COOKIE));
		EXPECT_TRUE(left_alone(&self->loop, 10)) {
			TH_LOG("%s", hooks[i]);
		}
		EXPECT_EQ(i + 1, counted(&self->before, "passed"));
	}
	set_int(self->loop.tx, SOL_SOCKET, SO_MARK, MARK(PORT, COOKIE));
}

/* The mark was ours and is of no use any more. */
TEST_F(filter, D10_mark_is_cleared)
{
	nft_load("table ip t {\n"
		 " counter left { }\n"
		 " chain o {\n"
		 "  type filter hook output priority 0;\n"
		 "  meta mark != 0 counter name left\n"
		 " }\n"
		 "}\n");
	ASSERT_EQ(0, attach_return(self->loop.fd, 0));
	EXPECT_TRUE(left_alone(&self->loop, 10));
	EXPECT_EQ(0, nft_packets("left"));
}

TEST_F(filter, D10_small_result_does_not_cut)
{
	ASSERT_EQ(0, attach_return(self->loop.fd, 1));
	EXPECT_EQ(28 + 100, queued(&self->loop, 100));
	EXPECT_TRUE(packet_valid(&got));
}

/* Offset 0 is the IP header, and all of the packet is there. */
TEST_F(filter, D10_data_begin_at_the_ip_header)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x45, 0, 7),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 22),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UDP_PORT, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 28 + 100, 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS,
			 (__u32)(SKF_AD_OFF + SKF_AD_PROTOCOL)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 65535),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	ASSERT_EQ(0, attach(self->loop.fd, code, ARRAY_LEN(code)));
	EXPECT_TRUE(left_alone(&self->loop, 99));
	EXPECT_EQ(28 + 100, queued(&self->loop, 100));
}

TEST_F(filter, D10_before_bind)
{
	struct loop other = self->loop;

	other.fd = divert_socket();
	other.tx = udp_open(NULL, MARK(PORT + 1, COOKIE));
	ASSERT_EQ(0, attach_return(other.fd, 0));
	ASSERT_EQ(0, divert_bind(other.fd, PORT + 1));
	EXPECT_TRUE(left_alone(&other, 10));
	EXPECT_EQ(0, set_int(other.fd, SOL_SOCKET, SO_DETACH_FILTER, 0));
	loop_send(&other, 11);
	EXPECT_TRUE(loop_pass(&other, 11));
}

TEST_F(filter, D10_ebpf)
{
	int reject = bpf_return(0), accept = bpf_return(1);

	if (reject < 0)
		SKIP(return, "no bpf() here");
	EXPECT_EQ(0, set_int(self->loop.fd, SOL_SOCKET, SO_ATTACH_BPF, reject));
	EXPECT_TRUE(left_alone(&self->loop, 10));
	EXPECT_EQ(0, set_int(self->loop.fd, SOL_SOCKET, SO_ATTACH_BPF, accept));
	EXPECT_EQ(28 + 100, queued(&self->loop, 100));
	EXPECT_TRUE(packet_valid(&got));
}

/* As long as there is room or not. */
TEST_F(filter, D10_rejected_with_a_full_queue)
{
	struct divert_limits limits = { .size = sizeof(limits), .packets = 1 };

	ASSERT_EQ(0, setsockopt(self->loop.fd, SOL_DIVERT, DIVERT_LIMITS,
				&limits, sizeof(limits)));
	ASSERT_EQ(0, attach_return(self->loop.fd, 0));
	EXPECT_TRUE(left_alone(&self->loop, 10));
	EXPECT_EQ(0, counted(&self->before, "full"));
}

TEST_HARNESS_MAIN
