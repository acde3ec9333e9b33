// SPDX-License-Identifier: GPL-2.0
/*
 * What may be written, what is refused, and what a write leaves alone. Where
 * written packets go is the matter of write_in.c and write_out.c.
 */

#include <netinet/in.h>
#include <sys/uio.h>

#include "divert_test.h"
#include "kselftest_harness.h"

static struct packet packet, got;

/* Every test twice: packets written to be sent and to be received. */
FIXTURE(form)
{
	struct loop loop;
	struct sockaddr_in to;
	struct counters before;
};

FIXTURE_VARIANT(form)
{
	const char *address;
	const char *counter;
};

FIXTURE_VARIANT_ADD(form, out)
{
	.address = "0.0.0.0",
	.counter = "inject_out",
};

FIXTURE_VARIANT_ADD(form, in)
{
	.address = LOOP,
	.counter = "inject_in",
};

FIXTURE_SETUP(form)
{
	loop_open(&self->loop);
	self->to = divert_address(variant->address, 0, "");
	packet_make(&packet, LOOP, LOOP, 100);
	counters_read(&self->before);
}

/* Nobody else's packet has been touched, whatever the test wrote. */
FIXTURE_TEARDOWN(form)
{
	EXPECT_FALSE(readable(self->loop.rx));
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

struct malformed {
	const char *what;
	int written;	/* bytes of the packet that are written */
	int first;	/* its first byte: version and header length */
	int tot_len;
	int err;
	const char *counter;
};

/* Of a packet of 128 bytes. */
static const struct malformed malformed[] = {
	{ "empty", 0, 0x45, 128, -EINVAL, "einval" },
	{ "one byte", 1, 0x45, 128, -EINVAL, "einval" },
	{ "header cut", 19, 0x45, 19, -EINVAL, "einval" },
	{ "version 0", 128, 0x05, 128, -EAFNOSUPPORT, "eafnosupport" },
	{ "version 3", 128, 0x35, 128, -EAFNOSUPPORT, "eafnosupport" },
	{ "version 5", 128, 0x55, 128, -EAFNOSUPPORT, "eafnosupport" },
	{ "version 7", 128, 0x75, 128, -EAFNOSUPPORT, "eafnosupport" },
	{ "version 15", 128, 0xf5, 128, -EAFNOSUPPORT, "eafnosupport" },
	{ "header length 0", 128, 0x40, 128, -EINVAL, "einval" },
	{ "header length 4", 128, 0x41, 128, -EINVAL, "einval" },
	{ "header length 16", 128, 0x44, 128, -EINVAL, "einval" },
	{ "header past end", 59, 0x4f, 59, -EINVAL, "einval" },
	{ "options past end", 20, 0x46, 20, -EINVAL, "einval" },
	{ "longer than written", 128, 0x45, 129, -EINVAL, "einval" },
	{ "much longer", 128, 0x45, 65535, -EINVAL, "einval" },
	{ "total length 0", 128, 0x45, 0, -EINVAL, "einval" },
	{ "total length 19", 128, 0x45, 19, -EINVAL, "einval" },
	{ "shorter than header", 128, 0x4f, 59, -EINVAL, "einval" },
};

TEST_F(form, W1_malformed)
{
	int i;

	for (i = 0; i < ARRAY_LEN(malformed); i++) {
		const struct malformed *bad = &malformed[i];

		packet.data[0] = bad->first;
		packet.ip.tot_len = htons(bad->tot_len);
		packet.len = bad->written;
		packet_sum(&packet);
		counters_read(&self->before);
		EXPECT_EQ(bad->err, divert_write(self->loop.fd, &packet,
						 &self->to)) {
			TH_LOG("%s", bad->what);
		}
		EXPECT_EQ(1, counted_only(&self->before, bad->counter)) {
			TH_LOG("%s", bad->what);
		}
	}
}

/* The limits of the above, from the good side. */
TEST_F(form, W1_smallest)
{
	packet.len = 20;
	packet.ip.tot_len = htons(20);
	packet_sum(&packet);
	EXPECT_EQ(20, divert_write(self->loop.fd, &packet, &self->to));

	/* Nothing but options. */
	packet.len = 60;
	packet.ip.ihl = 15;
	packet.ip.tot_len = htons(60);
	memset(packet.data + 20, 1, 40);
	packet_sum(&packet);
	EXPECT_EQ(60, divert_write(self->loop.fd, &packet, &self->to));
	EXPECT_EQ(2, counted_only(&self->before, variant->counter));
}

TEST_F(form, W1_trailing_bytes_cut)
{
	packet.len += 50;
	EXPECT_EQ(178, divert_write(self->loop.fd, &packet, &self->to));
	EXPECT_EQ(100, udp_receive(self->loop.rx, got.data, 1000));
	EXPECT_EQ(0, memcmp(packet.data + 28, got.data, 100));

	/* Also many of them: fragments of the buffer go altogether. */
	packet.len = 65535;
	EXPECT_EQ(65535, divert_write(self->loop.fd, &packet, &self->to));
	EXPECT_EQ(100, udp_receive(self->loop.rx, got.data, 1000));
}

TEST_F(form, W1_too_long_emsgsize)
{
	static const int lengths[] = { 65536, 65537, 65535 + 4096 };
	struct iovec iov[] = {
		{ packet.data, 65535 }, { packet.data, 65535 },
	};
	struct msghdr msg = {
		.msg_name = &self->to, .msg_namelen = sizeof(self->to),
		.msg_iov = iov, .msg_iovlen = 2,
	};
	int i;

	/* Although the packet itself would be a good one. */
	packet_make(&packet, LOOP, LOOP, 65535 - 28);
	for (i = 0; i < ARRAY_LEN(lengths); i++) {
		packet.len = lengths[i];
		EXPECT_EQ(-EMSGSIZE, divert_write(self->loop.fd, &packet,
						  &self->to));
	}
	EXPECT_EQ(-EMSGSIZE, errno_of(sendmsg(self->loop.fd, &msg, 0)));
	EXPECT_EQ(4, counted_only(&self->before, "emsgsize"));

	packet.len = 65535;
	EXPECT_EQ(65535, divert_write(self->loop.fd, &packet, &self->to));
	EXPECT_EQ(65535 - 28, udp_receive(self->loop.rx, got.data, 65535));
}

/* Where the header lies in the caller's memory does not matter. */
TEST_F(form, W1_in_pieces)
{
	struct iovec iov[128];
	struct msghdr msg = {
		.msg_name = &self->to, .msg_namelen = sizeof(self->to),
		.msg_iov = iov, .msg_iovlen = 128,
	};
	int i;

	for (i = 0; i < 128; i++)
		iov[i] = (struct iovec){ packet.data + i, 1 };
	EXPECT_EQ(128, sendmsg(self->loop.fd, &msg, 0));
	EXPECT_EQ(100, udp_receive(self->loop.rx, got.data, 1000));
}

TEST_F(form, W1_bad_memory_efault)
{
	struct iovec iov[] = { { packet.data, 64 }, { (void *)8, 64 } };
	struct msghdr msg = {
		.msg_name = &self->to, .msg_namelen = sizeof(self->to),
		.msg_iov = iov, .msg_iovlen = 2,
	};

	EXPECT_EQ(-EFAULT, errno_of(sendmsg(self->loop.fd, &msg, 0)));
	EXPECT_EQ(0, counted(&self->before, variant->counter));
}

TEST_F(form, W1_short_address_einval)
{
	int len;

	for (len = 1; len < (int)sizeof(self->to); len++)
		EXPECT_EQ(-EINVAL,
			  errno_of(sendto(self->loop.fd, packet.data,
					  packet.len, 0,
					  (struct sockaddr *)&self->to, len)));
	EXPECT_EQ((int)sizeof(self->to) - 1,
		  counted_only(&self->before, "einval"));
}

TEST_F(form, W1_long_address)
{
	struct sockaddr_storage storage;

	memset(&storage, 0xa5, sizeof(storage));
	memcpy(&storage, &self->to, sizeof(self->to));
	EXPECT_EQ(128, sendto(self->loop.fd, packet.data, packet.len, 0,
			      (struct sockaddr *)&storage, sizeof(storage)));
	EXPECT_EQ(100, udp_receive(self->loop.rx, got.data, 1000));
}

TEST_F(form, W1_wrong_family_eafnosupport)
{
	static const int families[] = { AF_UNIX, AF_INET6, 44, 255, 65535 };
	int i;

	for (i = 0; i < ARRAY_LEN(families); i++) {
		self->to.sin_family = families[i];
		EXPECT_EQ(-EAFNOSUPPORT, divert_write(self->loop.fd, &packet,
						      &self->to));
	}
	EXPECT_EQ(ARRAY_LEN(families),
		  counted_only(&self->before, "eafnosupport"));
}

/* Control messages */

/* Send @packet with one control message of @level and @type. */
static int write_with(const struct loop *loop, struct sockaddr_in *to,
		      int level, int type, int value)
{
	char buf[CMSG_SPACE(sizeof(value))] = { };
	struct iovec iov = { packet.data, packet.len };
	struct msghdr msg = {
		.msg_name = to, .msg_namelen = sizeof(*to),
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = buf, .msg_controllen = sizeof(buf),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = level;
	cmsg->cmsg_type = type;
	cmsg->cmsg_len = CMSG_LEN(sizeof(value));
	memcpy(CMSG_DATA(cmsg), &value, sizeof(value));
	return errno_of(sendmsg(loop->fd, &msg, 0)) ?: packet.len;
}

TEST_F(form, W8_ttl_and_tos_not_applied)
{
	char buf[256];
	struct iovec iov = { got.data, sizeof(got.data) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = buf, .msg_controllen = sizeof(buf),
	};
	struct cmsghdr *cmsg;

	set_int(self->loop.rx, SOL_IP, IP_RECVTTL, 1);
	packet.ip.ttl = 33;
	packet_sum(&packet);
	EXPECT_EQ(128, write_with(&self->loop, &self->to, SOL_IP, IP_TTL, 9));
	EXPECT_EQ(100, recvmsg(self->loop.rx, &msg, 0));
	cmsg = CMSG_FIRSTHDR(&msg);
	ASSERT_NE(NULL, cmsg);
	EXPECT_EQ(IP_TTL, cmsg->cmsg_type);
	EXPECT_EQ(33, *(int *)CMSG_DATA(cmsg));

	EXPECT_EQ(128, write_with(&self->loop, &self->to, SOL_IP, IP_TOS, 8));
	EXPECT_EQ(100, udp_receive(self->loop.rx, got.data, 1000));
}

TEST_F(form, W8_others_ignored)
{
	EXPECT_EQ(128, write_with(&self->loop, &self->to, SOL_SOCKET,
				  SCM_RIGHTS + 200, 1));
	EXPECT_EQ(100, udp_receive(self->loop.rx, got.data, 1000));
	EXPECT_EQ(128, write_with(&self->loop, &self->to, 12345, 1, 1));
	EXPECT_EQ(100, udp_receive(self->loop.rx, got.data, 1000));
}

/* Addresses that only an outgoing packet can have. */
FIXTURE(plain)
{
	struct loop loop;
	struct counters before;
};

FIXTURE_SETUP(plain)
{
	loop_open(&self->loop);
	packet_make(&packet, LOOP, LOOP, 100);
	counters_read(&self->before);
}

FIXTURE_TEARDOWN(plain)
{
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

/* BSD programs write to an address that is all zero. */
TEST_F(plain, W1_zero_address)
{
	struct sockaddr_in zero = { };

	EXPECT_EQ(128, divert_write(self->loop.fd, &packet, &zero));
	EXPECT_EQ(100, udp_receive(self->loop.rx, got.data, 1000));
	EXPECT_EQ(1, counted_only(&self->before, "inject_out"));
}

/* Of version 6, but too short for it. */
TEST_F(plain, W1_short_version_6)
{
	int err;

	packet.data[0] = 0x60;
	packet.len = 39;
	err = divert_write(self->loop.fd, &packet, NULL);
	EXPECT_TRUE(err == -EINVAL || err == -EAFNOSUPPORT);
	EXPECT_EQ(0, counted(&self->before, "inject_out"));
}

TEST_F(plain, W6_refused_writes_leave_no_trace)
{
	struct sockaddr_in nowhere = divert_address("192.0.2.1", 0, "");
	int i;

	for (i = 0; i < 1000; i++) {
		packet.len = 128;
		EXPECT_EQ(-EADDRNOTAVAIL, divert_write(self->loop.fd, &packet,
						       &nowhere));
		packet.len = 100;
		EXPECT_EQ(-EINVAL, divert_write(self->loop.fd, &packet, NULL));
	}
	EXPECT_EQ(1000, counted(&self->before, "einval"));
	EXPECT_EQ(1000, counted(&self->before, "eaddrnotavail"));
	EXPECT_EQ(0, counted(&self->before, "inject_out"));
	EXPECT_EQ(0, counted(&self->before, "diverted"));
	EXPECT_FALSE(readable(self->loop.rx));
}

TEST_F(plain, W6_queued_packets_do_not_change)
{
	static struct packet held;
	struct sockaddr_in sin;
	int i;

	held.len = recv(self->loop.fd, held.data, sizeof(held.data), MSG_PEEK);
	for (i = 0; i < 10; i++) {
		packet_make(&packet, LOOP, LOOP, 100 + i);
		EXPECT_EQ(128 + i, divert_write(self->loop.fd, &packet, NULL));
		EXPECT_EQ(100 + i, udp_receive(self->loop.rx, got.data, 1000));
	}
	EXPECT_EQ(held.len, divert_read(self->loop.fd, &got, &sin));
	EXPECT_TRUE(packet_equal(&held, &got));
	EXPECT_EQ(got.len, divert_write(self->loop.fd, &got, &sin));
	EXPECT_EQ(LOOP_WAITING, udp_receive(self->loop.rx, got.data, 1000));

	/* As teardown wants to find it. */
	loop_send(&self->loop, LOOP_WAITING);
}

/* What written packets carry */

FIXTURE(meta)
{
	struct loop loop;
};

FIXTURE_SETUP(meta)
{
	loop_open(&self->loop);
	packet_make(&packet, LOOP, LOOP, 100);
}

FIXTURE_TEARDOWN(meta)
{
}

/* A counter on packets that match, just before they leave. */
static void count_at_postrouting(const char *match)
{
	nft_load("table ip t {\n"
		 " counter c { }\n"
		 " chain c {\n"
		 "  type filter hook postrouting priority 200;\n"
		 "  udp dport %d %s counter name c\n"
		 " }\n"
		 "}\n", UDP_PORT, match);
}

TEST_F(meta, W7_mark_outside_the_masks)
{
	int fd = self->loop.fd;

	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("port_mask"), "0x00ff0000"));
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("cookie_mask"), "0x000000ff"));
	count_at_postrouting("meta mark 0x12003400");
	EXPECT_EQ(0, set_int(fd, SOL_SOCKET, SO_MARK, 0x12ff34ff));
	EXPECT_EQ(128, divert_write(fd, &packet, NULL));
	EXPECT_EQ(100, udp_receive(self->loop.rx, got.data, 1000));
	EXPECT_EQ(1, nft_packets("c"));

	/* The writer's, and no longer than it has one. */
	EXPECT_EQ(0, set_int(fd, SOL_SOCKET, SO_MARK, 0));
	EXPECT_EQ(128, divert_write(fd, &packet, NULL));
	EXPECT_EQ(100, udp_receive(self->loop.rx, got.data, 1000));
	EXPECT_EQ(1, nft_packets("c"));
}

TEST_F(meta, W7_mark_inside_the_masks_is_not_shown)
{
	count_at_postrouting("meta mark 0");
	EXPECT_EQ(0, set_int(self->loop.fd, SOL_SOCKET, SO_MARK,
			     MARK(PORT, COOKIE)));
	EXPECT_EQ(128, divert_write(self->loop.fd, &packet, NULL));
	EXPECT_EQ(100, udp_receive(self->loop.rx, got.data, 1000));
	EXPECT_EQ(1, nft_packets("c"));
	/* It did not lead back to us. */
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

TEST_F(meta, W7_mark_of_incoming)
{
	struct sockaddr_in in = divert_address(LOOP, 0, "lo");

	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("port_mask"), "0x00ff0000"));
	EXPECT_EQ(0, sysctl_write(DIVERT_SYSCTL("cookie_mask"), "0x000000ff"));
	nft_load("table ip t {\n"
		 " counter c { }\n"
		 " chain c {\n"
		 "  type filter hook input priority 0;\n"
		 "  udp dport %d meta mark 0x12003400 counter name c\n"
		 " }\n"
		 "}\n", UDP_PORT);
	EXPECT_EQ(0, set_int(self->loop.fd, SOL_SOCKET, SO_MARK, 0x12ff34ff));
	EXPECT_EQ(128, divert_write(self->loop.fd, &packet, &in));
	EXPECT_EQ(100, udp_receive(self->loop.rx, got.data, 1000));
	EXPECT_EQ(1, nft_packets("c"));
}

TEST_F(meta, W7_priority)
{
	count_at_postrouting("meta priority 0:6");
	EXPECT_EQ(0, set_int(self->loop.fd, SOL_SOCKET, SO_PRIORITY, 6));
	EXPECT_EQ(128, divert_write(self->loop.fd, &packet, NULL));
	EXPECT_EQ(100, udp_receive(self->loop.rx, got.data, 1000));
	EXPECT_EQ(1, nft_packets("c"));
	EXPECT_TRUE(loop_unharmed(&self->loop));
}

TEST_HARNESS_MAIN
