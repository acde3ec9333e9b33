// SPDX-License-Identifier: GPL-2.0
/*
 * Faults while packets stay in the kernel, and while they are read and written
 * many at once, whole, or by IPv6.
 *
 * TIMEOUT=400
 */

#include <linux/virtio_net.h>
#include <stdio.h>

#include "fault_test.h"
#include "kselftest_harness.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT	103
#endif

#define HEADERS		64
#define PACKETS		3	/* in one read or write */
#define PAYLOAD		200	/* of each */

static struct packet got;
static struct sockaddr_in address;
static union {
	struct divert_record first;
	__u8 bytes[65536];
} records;
static int records_len;

FIXTURE(fault)
{
	struct faults f;
};

FIXTURE_SETUP(fault)
{
	faults_open(&self->f);
}

/* Whatever the mode was: another socket takes over. */
FIXTURE_TEARDOWN(fault)
{
	close(self->f.loop.fd);
	self->f.loop.fd = divert_open(PORT);
	loop_send(&self->f.loop, LOOP_WAITING);
	EXPECT_TRUE(loop_unharmed(&self->f.loop));
}

static void hold(int fd, int headers)
{
	struct divert_hold hold = { .size = sizeof(hold), .headers = headers };

	if (setsockopt(fd, SOL_DIVERT, DIVERT_HOLD, &hold, sizeof(hold)))
		die("DIVERT_HOLD");
}

/* Packets that have been read and wait for a verdict. */
static long waiting(struct faults *f)
{
	return counted(&f->before, "held") - counted(&f->before, "held_passed") -
	       counted(&f->before, "held_dropped") -
	       counted(&f->before, "held_lost") -
	       counted(&f->before, "held_released");
}

static int read_one(struct faults *f)
{
	if (!wait_readable(f->loop.fd))
		return -ETIMEDOUT;
	return divert_read(f->loop.fd, &got, &address) < 0 ? -errno : 0;
}

static int write_one(struct faults *f)
{
	return errno_of(divert_write(f->loop.fd, &got, &address));
}

static int call_read(struct faults *f)
{
	socklen_t len = sizeof(address);

	got.len = recvfrom(f->loop.fd, got.data, sizeof(got.data), 0,
			   (struct sockaddr *)&address, &len);
	return errno_of(got.len);
}

static void drain(struct faults *f)
{
	while (readable(f->loop.fd))
		if (read_one(f) || write_one(f))
			die("a packet through");
}

/* What was read is kept; what could not be is gone, and counted as read. */
static bool check_read(struct faults *f, int err)
{
	bool there = readable(f->loop.fd);
	bool good = counted(&f->before, "read") + there == 1 &&
		    waiting(f) == !err;

	if (!err)
		good = good && !write_one(f);
	drain(f);
	good = good && faults_arrived(f, PAYLOAD) == (!err || there);
	loop_send(&f->loop, PAYLOAD);
	return good;
}

static const struct walk walk_read = { call_read, check_read };

TEST_F(fault, O7_read_headers)
{
	hold(self->f.loop.fd, HEADERS);
	loop_send(&self->f.loop, PAYLOAD);
	EXPECT_TRUE(faults_walk(&self->f, &walk_read));
}

TEST_F(fault, O9_read_a_copy)
{
	ASSERT_EQ(0, set_int(self->f.loop.fd, SOL_DIVERT, DIVERT_INPLACE,
			     DIVERT_INPLACE_BEHIND));
	loop_send(&self->f.loop, PAYLOAD);
	EXPECT_TRUE(faults_walk(&self->f, &walk_read));
}

static int call_write(struct faults *f)
{
	return write_one(f);
}

/* It went on, or is gone and counted, or another write lets it go on; once it
 * is on its way, the fault may lose it as any other packet.
 */
static bool check_write(struct faults *f, int err)
{
	bool gone = counted(&f->before, "held_dropped") == 1;
	int arrived = faults_arrived(f, PAYLOAD);
	bool good;

	if (err)
		good = !arrived && (gone || (!write_one(f) &&
					     faults_arrived(f, PAYLOAD) == 1));
	else
		good = !gone && (arrived == 1 || (f->faulty && !arrived));
	loop_send(&f->loop, PAYLOAD);
	return !read_one(f) && good;
}

static const struct walk walk_write = { call_write, check_write };

TEST_F(fault, O7_write_headers)
{
	hold(self->f.loop.fd, HEADERS);
	loop_send(&self->f.loop, PAYLOAD);
	ASSERT_EQ(0, read_one(&self->f));
	EXPECT_TRUE(faults_walk(&self->f, &walk_write));
}

TEST_F(fault, O9_write_in_place)
{
	ASSERT_EQ(0, set_int(self->f.loop.fd, SOL_DIVERT, DIVERT_INPLACE,
			     DIVERT_INPLACE_BEHIND));
	loop_send(&self->f.loop, PAYLOAD);
	ASSERT_EQ(0, read_one(&self->f));
	EXPECT_TRUE(faults_walk(&self->f, &walk_write));
}

/* At the rules: the packet meets our hook again, in the writer's context. */
TEST_F(fault, O9_write_in_place_at_the_rules)
{
	ASSERT_EQ(0, set_int(self->f.loop.fd, SOL_DIVERT, DIVERT_INPLACE,
			     DIVERT_INPLACE_RULES));
	loop_send(&self->f.loop, PAYLOAD);
	ASSERT_EQ(0, read_one(&self->f));
	EXPECT_TRUE(faults_walk(&self->f, &walk_write));
}

/* Many in one read or write */

static int records_in(int len)
{
	int at, n = 0;

	for (at = 0; at < len; n++)
		at += ((struct divert_record *)(records.bytes + at))->len;
	return n;
}

static int call_read_records(struct faults *f)
{
	records_len = recv(f->loop.fd, records.bytes, sizeof(records), 0);
	return errno_of(records_len);
}

static int send_records(struct faults *f, int from)
{
	int n = from < records_len ?
		send(f->loop.fd, records.bytes + from, records_len - from, 0) : 0;

	return n < 0 ? -errno : n;
}

/* Write back what was read. */
static bool records_back(struct faults *f)
{
	return send_records(f, 0) == records_len;
}

static void send_packets(struct faults *f)
{
	int i;

	for (i = 0; i < PACKETS; i++)
		loop_send(&f->loop, PAYLOAD);
}

static bool check_read_records(struct faults *f, int err)
{
	int n = err ? 0 : records_in(records_len), later = 0;
	bool good = err || records_back(f);

	if (readable(f->loop.fd)) {
		good = good && !call_read_records(f) && records_back(f);
		later = records_in(records_len);
	}
	good = good && counted(&f->before, "read") == PACKETS &&
	       (n + later == PACKETS || (f->faulty && n + later < PACKETS)) &&
	       !waiting(f) && faults_arrived(f, PAYLOAD) == n + later;
	send_packets(f);
	return good;
}

static const struct walk walk_read_records = {
	call_read_records, check_read_records
};

TEST_F(fault, O8_read_records)
{
	ASSERT_EQ(0, set_int(self->f.loop.fd, SOL_DIVERT, DIVERT_RECORDS, 1));
	send_packets(&self->f);
	EXPECT_TRUE(faults_walk(&self->f, &walk_read_records));
}

TEST_F(fault, O8_read_records_of_headers)
{
	ASSERT_EQ(0, set_int(self->f.loop.fd, SOL_DIVERT, DIVERT_RECORDS, 1));
	hold(self->f.loop.fd, HEADERS);
	send_packets(&self->f);
	EXPECT_TRUE(faults_walk(&self->f, &walk_read_records));
}

static int call_write_records(struct faults *f)
{
	int n = send_records(f, 0);

	/* Where it stopped. */
	f->option = n < 0 ? 0 : n;
	return n < 0 ? n : 0;
}

/* What was taken has gone on, but for one that the fault has lost; the rest is
 * taken now. Where a write fails its packet may be gone, if it was kept.
 */
static bool check_write_records(struct faults *f, int err)
{
	int taken = records_in(f->option), arrived = faults_arrived(f, PAYLOAD);
	int gone = counted(&f->before, "held_dropped");
	bool good = (err ? !taken : taken > 0) &&
		    (arrived == taken || (f->faulty && arrived == taken - 1));

	if (gone)
		f->option += records.first.len;
	while (f->option < records_len) {
		int n = send_records(f, f->option);

		if (n <= 0)
			return false;
		f->option += n;
	}
	good = good && faults_arrived(f, PAYLOAD) == PACKETS - taken - gone &&
	       gone <= f->faulty && waiting(f) == -PACKETS;
	send_packets(f);
	return !call_read_records(f) && records_in(records_len) == PACKETS &&
	       good;
}

/* Of what was written as packets of their own, none was waiting. */
static bool check_write_own_records(struct faults *f, int err)
{
	int taken = records_in(f->option), arrived = faults_arrived(f, PAYLOAD);
	bool good = (err ? !taken : taken > 0) &&
		    (arrived == taken || (f->faulty && arrived == taken - 1));

	good = good && counted(&f->before, "inject_in") +
		       counted(&f->before, "inject_out") == taken;
	send_packets(f);
	return !call_read_records(f) && records_in(records_len) == PACKETS &&
	       good;
}

static const struct walk walk_write_records = {
	call_write_records, check_write_records
};

static const struct walk walk_write_own_records = {
	call_write_records, check_write_own_records
};

TEST_F(fault, O8_write_records)
{
	ASSERT_EQ(0, set_int(self->f.loop.fd, SOL_DIVERT, DIVERT_RECORDS, 1));
	send_packets(&self->f);
	ASSERT_EQ(0, call_read_records(&self->f));
	EXPECT_TRUE(faults_walk(&self->f, &walk_write_own_records));
}

TEST_F(fault, O8_write_records_of_headers)
{
	ASSERT_EQ(0, set_int(self->f.loop.fd, SOL_DIVERT, DIVERT_RECORDS, 1));
	hold(self->f.loop.fd, HEADERS);
	send_packets(&self->f);
	ASSERT_EQ(0, call_read_records(&self->f));
	EXPECT_TRUE(faults_walk(&self->f, &walk_write_records));
}

/* Whole */

static struct {
	struct cmsghdr cmsg;
	struct virtio_net_hdr vnet;
} whole;

static struct msghdr whole_msg(struct iovec *iov)
{
	return (struct msghdr){
		.msg_name = &address,
		.msg_namelen = sizeof(address),
		.msg_iov = iov,
		.msg_iovlen = 1,
		.msg_control = &whole,
		.msg_controllen = sizeof(whole),
	};
}

static int call_read_whole(struct faults *f)
{
	struct iovec iov = { got.data, sizeof(got.data) };
	struct msghdr msg = whole_msg(&iov);

	memset(&whole, 0, sizeof(whole));
	got.len = recvmsg(f->loop.fd, &msg, 0);
	return errno_of(got.len);
}

static int call_write_whole(struct faults *f)
{
	struct iovec iov = { got.data, got.len };
	struct msghdr msg = whole_msg(&iov);

	return errno_of(sendmsg(f->loop.fd, &msg, 0));
}

#define SEGMENTS	6
#define SEGMENT		500

static void send_whole(struct faults *f)
{
	loop_send(&f->loop, SEGMENTS * SEGMENT);
}

static bool is_whole(void)
{
	return got.len == (int)sizeof(struct iphdr) + (int)sizeof(struct udphdr) +
			  SEGMENTS * SEGMENT &&
	       whole.cmsg.cmsg_level == SOL_DIVERT &&
	       whole.cmsg.cmsg_type == DIVERT_GSO &&
	       whole.vnet.gso_size == SEGMENT;
}

static bool check_read_whole(struct faults *f, int err)
{
	bool there = readable(f->loop.fd);
	bool good = counted(&f->before, "read") + there == 1;

	if (there && call_read_whole(f))
		return false;
	/* Where the copy of the control message fails, it has none. */
	if (!f->faulty || there)
		good = good && is_whole() && !call_write_whole(f) &&
		       faults_arrived(f, SEGMENT) == SEGMENTS;
	else
		good = good && (err || got.len > 0);
	send_whole(f);
	return good;
}

static const struct walk walk_read_whole = { call_read_whole, check_read_whole };

static void whole_prepare(struct __test_metadata *_metadata, struct faults *f)
{
	ASSERT_EQ(0, set_int(f->loop.fd, SOL_DIVERT, DIVERT_GSO, 1));
	ASSERT_EQ(0, set_int(f->loop.tx, IPPROTO_UDP, UDP_SEGMENT, SEGMENT));
	send_whole(f);
}

TEST_F(fault, O3_read_whole)
{
	whole_prepare(_metadata, &self->f);
	EXPECT_TRUE(faults_walk(&self->f, &walk_read_whole));
}

/* Once written, each segment may be lost on its way, or all. */
static bool check_write_whole(struct faults *f, int err)
{
	long sent = counted(&f->before, "inject_in") +
		    counted(&f->before, "inject_out");
	int arrived = faults_arrived(f, SEGMENT);
	bool good = err ? !arrived && !sent :
			  sent && (arrived == SEGMENTS ||
				   (f->faulty && arrived < SEGMENTS));

	return good && !call_write_whole(f) &&
	       faults_arrived(f, SEGMENT) == SEGMENTS;
}

static const struct walk walk_write_whole = {
	call_write_whole, check_write_whole
};

TEST_F(fault, O3_write_whole)
{
	whole_prepare(_metadata, &self->f);
	ASSERT_EQ(0, call_read_whole(&self->f));
	ASSERT_TRUE(is_whole());
	EXPECT_TRUE(faults_walk(&self->f, &walk_write_whole));
}

/* IPv6 */

static struct sockaddr_in6 address6;
static int tx6, rx6;

static int udp6(bool bound)
{
	struct sockaddr_in6 sa = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(UDP_PORT),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = bound ? bind(fd, (struct sockaddr *)&sa, sizeof(sa)) :
		  connect(fd, (struct sockaddr *)&sa, sizeof(sa));

	if (fd < 0 || err)
		die("UDP socket of IPv6");
	return fd;
}

static void send6(int payload)
{
	if (send(tx6, records.bytes, payload, 0) != payload)
		die("send by IPv6");
}

static int call_read6(struct faults *f)
{
	socklen_t len = sizeof(address6);

	got.len = recvfrom(f->loop.fd, got.data, sizeof(got.data), 0,
			   (struct sockaddr *)&address6, &len);
	return errno_of(got.len);
}

static int call_write6(struct faults *f)
{
	return errno_of(sendto(f->loop.fd, got.data, got.len, 0,
			       (struct sockaddr *)&address6, sizeof(address6)));
}

static int arrived6(void)
{
	static __u8 data[4096];
	int count = 0;

	while (readable(rx6))
		count += recv(rx6, data, sizeof(data), 0) == PAYLOAD;
	return count;
}

/* Another one, in a row with the first, is there: so is the first, or never. */
static bool check_write6(struct faults *f, int err)
{
	long sent = counted(&f->before, "inject_in") +
		    counted(&f->before, "inject_out");
	bool good = !call_write6(f) && wait_readable(rx6);
	int arrived = arrived6() - 1;

	return good && (err ? !arrived && !sent :
			arrived == 1 || (f->faulty && !arrived));
}

static const struct walk walk_write6 = { call_write6, check_write6 };

static bool check_read6(struct faults *f, int err)
{
	long read = counted(&f->before, "read");
	bool there = readable(f->loop.fd);
	bool good = read + there == 1 && (err || read);

	if (there && call_read6(f))
		return false;
	if (there || !err)
		good = good && !call_write6(f) && wait_readable(rx6) &&
		       arrived6() == 1;
	send6(PAYLOAD);
	return good;
}

static const struct walk walk_read6 = { call_read6, check_read6 };

static void prepare6(struct faults *f, const char *hook)
{
	struct sockaddr_in6 sa = {
		.sin6_family = AF_INET6, .sin6_port = htons(PORT),
	};

	close(f->loop.fd);
	f->loop.fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_DIVERT);
	if (bind(f->loop.fd, (struct sockaddr *)&sa, sizeof(sa)))
		die("bind");
	tx6 = udp6(false);
	rx6 = udp6(true);
	nft_load("table ip6 m {\n"
		 " chain c {\n"
		 "  type filter hook %s priority mangle;\n"
		 "  udp dport %d meta mark set 0x%x\n"
		 " }\n"
		 "}\n", hook, UDP_PORT, MARK(PORT, COOKIE));
	send6(PAYLOAD);
	if (!wait_readable(f->loop.fd))
		die("nothing was diverted");
}

TEST_F(fault, V6_2_read)
{
	prepare6(&self->f, "output");
	EXPECT_TRUE(faults_walk(&self->f, &walk_read6));
}

TEST_F(fault, V6_2_write_out)
{
	prepare6(&self->f, "output");
	ASSERT_EQ(0, call_read6(&self->f));
	EXPECT_TRUE(faults_walk(&self->f, &walk_write6));
}

TEST_F(fault, V6_2_write_in)
{
	prepare6(&self->f, "prerouting");
	ASSERT_EQ(0, call_read6(&self->f));
	EXPECT_TRUE(faults_walk(&self->f, &walk_write6));
}

TEST_HARNESS_MAIN
