// SPDX-License-Identifier: GPL-2.0
/*
 * Many packets in one read and one write (O8), or in one sendmmsg().
 *
 * TIMEOUT=600
 */

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "kept.h"
#include "kselftest_harness.h"

#define HEADERS	64

/* What was read, or is to be written. */
struct records {
	union {
		struct divert_record first;
		char bytes[65536];
	};
	int len;
};

static struct records buffer;

static struct divert_record *record_next(struct divert_record *record)
{
	return (void *)((char *)record + record->len);
}

static struct divert_record *record_at(int n)
{
	struct divert_record *record = &buffer.first;

	while (n--)
		record = record_next(record);
	return record;
}

static char *record_bytes(struct divert_record *record)
{
	return (char *)(record + 1);
}

static int records_read(int fd)
{
	buffer.len = wait_readable(fd) ?
		     read(fd, buffer.bytes, sizeof(buffer.bytes)) : -1;
	return buffer.len < 0 ? -errno : buffer.len;
}

static int records_write(int fd, const struct records *records)
{
	int ret = send(fd, records->bytes, records->len, 0);

	return ret < 0 ? -errno : ret;
}

/* One more to be written; bytes may be NULL. */
static struct divert_record *record_add(struct records *records, __u64 id,
					__u32 flags, const void *bytes, int len)
{
	struct divert_record *record = (void *)(records->bytes + records->len);

	memset(record, 0, sizeof(*record));
	record->size = sizeof(*record);
	record->len = (sizeof(*record) + len + 7) & ~7;
	record->captured = len;
	record->id = id;
	record->flags = flags;
	if (len)
		memcpy(record_bytes(record), bytes, len);
	records->len += record->len;
	return record;
}

FIXTURE(records)
{
	struct kept kept;
};

FIXTURE_VARIANT(records)
{
	const char *hook;
	int family;
	int socket;
};

KEPT_VARIANTS(records)

static void records_open(struct kept *kept, int family, int socket,
			 const char *hook)
{
	kept_open(kept, family, socket, hook);
	if (set_int(kept->fd, SOL_DIVERT, DIVERT_RECORDS, 1))
		die("DIVERT_RECORDS");
}

FIXTURE_SETUP(records)
{
	records_open(&self->kept, variant->family, variant->socket,
		     variant->hook);
}

FIXTURE_TEARDOWN(records)
{
	EXPECT_FALSE(readable(self->kept.rx));
	EXPECT_EQ(0, kept_away(&self->kept.before));
}

/* All are there to be read at once: what is received comes by a softirq. */
static void send_many(const struct kept *kept, int n)
{
	long before = counted(&kept->before, "diverted");
	int i;

	for (i = 0; i < n; i++)
		kept_send(kept, 100 + i);
	if (!wait_counted(&kept->before, "diverted", before + n))
		die("not all are diverted");
}

TEST_F(records, O8_headers_of_many)
{
	int i, fd = self->kept.fd, hlen = variant->family == AF_INET6 ? 40 : 20;
	struct records answer = { .len = 0 };
	struct divert_record *record;

	ASSERT_EQ(0, hold_headers(fd, HEADERS, 0));
	send_many(&self->kept, 20);
	ASSERT_EQ(20 * 128, records_read(fd));
	for (i = 0, record = &buffer.first; i < 20; i++) {
		ASSERT_EQ(sizeof(*record), record->size);
		EXPECT_EQ(128, record->len);
		EXPECT_EQ(HEADERS, record->captured);
		EXPECT_EQ(hlen + 8 + 100 + i, (int)record->packet);
		EXPECT_EQ(i + 1, (int)record->id);
		EXPECT_TRUE(record->flags & DIVERT_INFO_HELD);
		EXPECT_EQ(0, record->offset);
		EXPECT_EQ(COOKIE, ((struct sockaddr_in *)record->addr)->sin_port);
		record = record_next(record);
	}

	/* As they are; a byte of the header; of the payload; bare; dropped */
	record_add(&answer, 1, DIVERT_INFO_HELD, record_bytes(record_at(0)),
		   HEADERS);
	record_add(&answer, 2, DIVERT_INFO_HELD, "\x21", 1)->offset =
		hlen == 40 ? 7 : 8;
	record_add(&answer, 3, DIVERT_INFO_HELD, "", 1)->offset = hlen + 8;
	record_add(&answer, 4, DIVERT_INFO_HELD, NULL, 0);
	record_add(&answer, 5, DIVERT_INFO_HELD | DIVERT_VERDICT_DROP, NULL, 0);
	record_add(&answer, 20, DIVERT_INFO_HELD | DIVERT_VERDICT_UPTO, NULL, 0);
	EXPECT_EQ(answer.len, records_write(fd, &answer));
	for (i = 0; i < 20; i++)
		if (i != 4)
			EXPECT_EQ(100 + i, kept_arrives(&self->kept));
	EXPECT_EQ(19, counted(&self->kept.before, "held_passed"));
	EXPECT_EQ(1, counted(&self->kept.before, "held_dropped"));
}

/* Whole ones are written as they were read. */
TEST_F(records, O8_packets_as_they_are)
{
	int i, fd = self->kept.fd, hlen = variant->family == AF_INET6 ? 40 : 20;
	struct divert_record *record;

	send_many(&self->kept, 10);
	ASSERT_LT(0, records_read(fd));
	for (i = 0; i < 10; i++) {
		record = record_at(i);
		EXPECT_EQ(hlen + 8 + 100 + i, (int)record->captured);
		EXPECT_EQ(record->captured, record->packet);
		EXPECT_EQ(0, record->id);
		EXPECT_FALSE(record->flags & DIVERT_INFO_HELD);
	}
	EXPECT_EQ(buffer.len, records_write(fd, &buffer));
	for (i = 0; i < 10; i++)
		EXPECT_EQ(100 + i, kept_arrives(&self->kept));
	EXPECT_EQ(10, counted(&self->kept.before, "inject_in") +
		      counted(&self->kept.before, "inject_out"));
}

/* What goes on in place, and packets of their own */
TEST_F(records, O8_in_place)
{
	int i, mode, fd = self->kept.fd;

	for (mode = 1; mode <= 2; mode++) {
		ASSERT_EQ(0, set_int(fd, SOL_DIVERT, DIVERT_INPLACE, mode));
		send_many(&self->kept, 10);
		ASSERT_LT(0, records_read(fd));
		EXPECT_EQ(buffer.len, records_write(fd, &buffer));
		for (i = 0; i < 10; i++)
			EXPECT_EQ(100 + i, kept_arrives(&self->kept));
		EXPECT_EQ(10 * mode, counted(&self->kept.before,
					     "held_passed"));
	}
	EXPECT_EQ(0, counted(&self->kept.before, "inject_in") +
		     counted(&self->kept.before, "inject_out"));
}

/* One is enough. */
FIXTURE(one)
{
	struct kept kept;
	int fd;
};

FIXTURE_SETUP(one)
{
	records_open(&self->kept, AF_INET, AF_INET, "output");
	self->fd = self->kept.fd;
	ASSERT_EQ(0, hold_headers(self->fd, HEADERS, 0));
}

FIXTURE_TEARDOWN(one)
{
	EXPECT_FALSE(readable(self->kept.rx));
	EXPECT_EQ(0, kept_away(&self->kept.before));
}

TEST_F(one, O8_option)
{
	int fd = divert_socket();

	EXPECT_EQ(0, get_int(fd, SOL_DIVERT, DIVERT_RECORDS));
	EXPECT_EQ(-EINVAL, set_int(fd, SOL_DIVERT, DIVERT_RECORDS, 2));
	EXPECT_EQ(-EINVAL, set_int(fd, SOL_DIVERT, DIVERT_RECORDS, -1));
	EXPECT_EQ(0, set_int(fd, SOL_DIVERT, DIVERT_RECORDS, 1));
	EXPECT_EQ(1, get_int(fd, SOL_DIVERT, DIVERT_RECORDS));
	EXPECT_EQ(-1, setsockopt(fd, SOL_DIVERT, DIVERT_RECORDS, "", 1));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(one, O8_more_than_fit)
{
	send_many(&self->kept, 5);
	ASSERT_TRUE(wait_readable(self->fd));
	/* Not even an empty record; nothing is lost by that. */
	EXPECT_EQ(-1, recv(self->fd, buffer.bytes, 63, 0));
	EXPECT_EQ(EINVAL, errno);
	/* The first is cut, the next ones have to fit. */
	EXPECT_EQ(64, recv(self->fd, buffer.bytes, 71, 0));
	EXPECT_EQ(0, buffer.first.captured);
	EXPECT_EQ(128, buffer.first.packet);
	EXPECT_EQ(1, buffer.first.id);
	EXPECT_EQ(96, recv(self->fd, buffer.bytes, 100, 0));
	EXPECT_EQ(32, buffer.first.captured);
	EXPECT_EQ(128, recv(self->fd, buffer.bytes, 255, 0));
	EXPECT_EQ(3, buffer.first.id);
	EXPECT_EQ(256, recv(self->fd, buffer.bytes, 256, 0));
	EXPECT_EQ(5, record_at(1)->id);

	buffer.len = 0;
	record_add(&buffer, 5, DIVERT_INFO_HELD | DIVERT_VERDICT_UPTO, NULL, 0);
	EXPECT_EQ(64, records_write(self->fd, &buffer));
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(100 + i, kept_arrives(&self->kept));
}

TEST_F(one, O8_hundreds)
{
	int i;

	/* Packets that wait are the sender's memory, then the receiver's. */
	ASSERT_EQ(0, set_int(self->kept.tx, SOL_SOCKET, SO_SNDBUFFORCE,
			     1 << 20));
	ASSERT_EQ(0, set_int(self->kept.rx, SOL_SOCKET, SO_RCVBUFFORCE,
			     1 << 20));
	for (i = 0; i < 300; i++)
		kept_send(&self->kept, 10);
	ASSERT_EQ(300 * (64 + 40), records_read(self->fd));
	for (i = 0; i < 300; i++)
		EXPECT_EQ(i + 1, (int)record_at(i)->id);
	EXPECT_EQ(buffer.len, records_write(self->fd, &buffer));
	for (i = 0; i < 300; i++)
		EXPECT_EQ(10, kept_arrives(&self->kept));
}

/* Records end where their read ends. */
static bool records_whole(int len)
{
	struct divert_record *record = &buffer.first;
	const char *end = buffer.bytes + len;

	while ((char *)record < end) {
		if (record->size != sizeof(*record) ||
		    record->len < sizeof(*record) + record->captured ||
		    record->captured > record->packet)
			return false;
		record = record_next(record);
	}
	return (char *)record == end;
}

/* There is room for all the packets' first bytes, not for all their bytes. */
#define ONE_BYTE	(sizeof(struct divert_record) + 8)
#define AT_ONCE		64

TEST_F(one, O7_O8_headers_change_meanwhile)
{
	int fd = self->fd, rounds = 100, left, n, status;
	struct records drop = { .len = 0 };
	struct divert_record *record;
	pid_t child = fork();

	while (!child) {
		hold_headers(fd, 1, 0);
		hold_headers(fd, 65535, 0);
	}

	record = record_add(&drop, 0, DIVERT_INFO_HELD | DIVERT_VERDICT_UPTO |
			    DIVERT_VERDICT_DROP, NULL, 0);
	while (rounds--) {
		send_many(&self->kept, AT_ONCE);
		for (left = AT_ONCE; left; left -= n) {
			buffer.len = recv(fd, buffer.bytes, AT_ONCE * ONE_BYTE,
					  0);
			ASSERT_LT(0, buffer.len);
			ASSERT_TRUE(records_whole(buffer.len));
			for (n = 0; record_at(n) < (struct divert_record *)
					   (buffer.bytes + buffer.len); n++)
				record->id = record_at(n)->id;
		}
		ASSERT_EQ(drop.len, records_write(fd, &drop));
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
}

/* Memory that packets read together take is bounded, too. */
TEST_F(one, O8_hold_is_full_by_bytes)
{
	struct divert_hold hold = {
		.size = sizeof(hold), .headers = HEADERS, .bytes = 1,
	};

	ASSERT_EQ(0, set_hold(self->fd, &hold));
	send_many(&self->kept, 10);
	ASSERT_LT(0, records_read(self->fd));
	EXPECT_EQ(10, counted(&self->kept.before, "held"));
	EXPECT_EQ(9, counted(&self->kept.before, "held_lost"));
	buffer.len = 0;
	record_add(&buffer, 10, DIVERT_INFO_HELD, NULL, 0);
	EXPECT_EQ(64, records_write(self->fd, &buffer));
	EXPECT_EQ(109, kept_arrives(&self->kept));
}

TEST_F(one, O8_bytes_at_an_offset)
{
	struct records answer = { .len = 0 };
	struct divert_record *record;

	send_many(&self->kept, 1);
	ASSERT_LT(0, records_read(self->fd));
	record = record_add(&answer, 1, DIVERT_INFO_HELD, "abcd", 4);
	record->offset = 125;
	EXPECT_EQ(-EINVAL, records_write(self->fd, &answer));
	record->offset = 129;
	EXPECT_EQ(-EINVAL, records_write(self->fd, &answer));
	record->offset = -1;
	EXPECT_EQ(-EINVAL, records_write(self->fd, &answer));
	/* Within the header, what must stay does. */
	record->offset = 0;
	EXPECT_EQ(-EINVAL, records_write(self->fd, &answer));
	record->offset = 17;
	record->captured = 0;
	EXPECT_EQ(0, counted(&self->kept.before, "held_passed"));
	record->captured = 4;
	record->offset = 124;
	EXPECT_EQ(answer.len, records_write(self->fd, &answer));
	EXPECT_EQ(100, udp_receive(self->kept.rx, buffer.bytes, 200));
	EXPECT_EQ(0, memcmp(buffer.bytes + 96, "abcd", 4));
	EXPECT_EQ((char)(95 * 7), buffer.bytes[95]);
}

static void spoil(struct divert_record *record, int how)
{
	switch (how) {
	case 0: record->size--; break;
	case 1: record->size = 0; break;
	case 2: record->len = 60; break;
	case 3: record->len = 1U << 31; break;
	case 4: record->len -= 4; break;
	case 5: record->captured = record->len; break;
	case 6: record->captured = -1U; break;
	case 7: record->flags |= 0x80000; break;
	case 8: record->flags |= 1U << 31; break;
	case 9: record->flags = DIVERT_VERDICT_DROP; break;
	case 10: record->flags |= DIVERT_VERDICT_DROP; break; /* has bytes */
	case 11: record->flags |= DIVERT_VERDICT_UPTO; break;
	}
}

/* The count up to it is returned, and nothing behind it is touched. */
TEST_F(one, O8_bad_record_stops_there)
{
	struct records answer;
	int i, at;

	for (i = 0; i < 12; i++) {
		counters_read(&self->kept.before);
		send_many(&self->kept, 3);
		ASSERT_LT(0, records_read(self->fd));
		for (at = 0; at < 2; at++) {
			answer = buffer;
			spoil((void *)(answer.bytes + at * 128), i);
			if (!at) {
				EXPECT_EQ(-EINVAL, records_write(self->fd,
								 &answer))
					TH_LOG("way %d", i);
				continue;
			}
			EXPECT_EQ(128, records_write(self->fd, &answer))
				TH_LOG("way %d", i);
		}
		EXPECT_EQ(1, counted(&self->kept.before, "held_passed"));
		EXPECT_EQ(0, counted(&self->kept.before, "held_dropped"));
		EXPECT_EQ(2, counted(&self->kept.before, "einval"));
		EXPECT_EQ(100, kept_arrives(&self->kept));
		memmove(buffer.bytes, buffer.bytes + 128, 256);
		buffer.len = 256;
		EXPECT_EQ(256, records_write(self->fd, &buffer));
		EXPECT_EQ(101, kept_arrives(&self->kept));
		EXPECT_EQ(102, kept_arrives(&self->kept));
	}
}

TEST_F(one, O8_cut_short)
{
	struct records answer = { .len = 0 };

	send_many(&self->kept, 2);
	ASSERT_LT(0, records_read(self->fd));
	record_add(&answer, 1, DIVERT_INFO_HELD, NULL, 0);
	record_add(&answer, 2, DIVERT_INFO_HELD, NULL, 0);
	answer.len -= 1;
	EXPECT_EQ(64, records_write(self->fd, &answer));
	EXPECT_EQ(100, kept_arrives(&self->kept));
	/* The last one need not be filled up. */
	answer.len = 0;
	record_add(&answer, 2, DIVERT_INFO_HELD, "", 1)->offset = 28;
	answer.first.len = 65;
	answer.len = 65;
	EXPECT_EQ(65, records_write(self->fd, &answer));
	EXPECT_EQ(101, kept_arrives(&self->kept));
	EXPECT_EQ(0, send(self->fd, buffer.bytes, 0, 0));
}

TEST_F(one, O8_verdict_by_control_message)
{
	struct records answer = { .len = 0 };

	send_many(&self->kept, 1);
	ASSERT_LT(0, records_read(self->fd));
	EXPECT_EQ(-EINVAL, kept_write(self->fd, NULL, 0, NULL,
				      &(struct divert_info){
		.size = sizeof(struct divert_info), .id = 1,
		.flags = DIVERT_INFO_HELD | DIVERT_VERDICT_DROP,
	}));
	EXPECT_EQ(1, counted(&self->kept.before, "einval"));
	record_add(&answer, 1, DIVERT_INFO_HELD, NULL, 0);
	EXPECT_EQ(64, records_write(self->fd, &answer));
	EXPECT_EQ(100, kept_arrives(&self->kept));
}

TEST_F(one, O8_stale_in_the_middle)
{
	struct records answer = { .len = 0 };

	send_many(&self->kept, 3);
	ASSERT_LT(0, records_read(self->fd));
	record_add(&answer, 1, DIVERT_INFO_HELD, NULL, 0);
	record_add(&answer, 1, DIVERT_INFO_HELD, NULL, 0);
	record_add(&answer, 2, DIVERT_INFO_HELD, NULL, 0);
	EXPECT_EQ(64, records_write(self->fd, &answer));
	EXPECT_EQ(1, counted(&self->kept.before, "estale"));
	answer.len = 0;
	record_add(&answer, 1, DIVERT_INFO_HELD, NULL, 0);
	EXPECT_EQ(-ESTALE, records_write(self->fd, &answer));
	answer.first.id = 4;
	EXPECT_EQ(-ENOENT, records_write(self->fd, &answer));
	answer.first.id = 3;
	answer.first.flags |= DIVERT_VERDICT_UPTO;
	EXPECT_EQ(64, records_write(self->fd, &answer));
	EXPECT_EQ(100, kept_arrives(&self->kept));
	EXPECT_EQ(101, kept_arrives(&self->kept));
	EXPECT_EQ(102, kept_arrives(&self->kept));
}

/* A packet of its own keeps its place among verdicts. */
TEST_F(one, O8_order_of_verdicts_and_packets)
{
	static struct packet packet;
	struct records answer = { .len = 0 };

	send_many(&self->kept, 2);
	ASSERT_LT(0, records_read(self->fd));
	packet_make(&packet, LOOP, LOOP, 50);
	record_add(&answer, 1, DIVERT_INFO_HELD, NULL, 0);
	memcpy(record_add(&answer, 0, 0, packet.data, packet.len)->addr,
	       record_at(0)->addr, sizeof(buffer.first.addr));
	record_add(&answer, 2, DIVERT_INFO_HELD, NULL, 0);
	EXPECT_EQ(answer.len, records_write(self->fd, &answer));
	EXPECT_EQ(100, kept_arrives(&self->kept));
	EXPECT_EQ(50, kept_arrives(&self->kept));
	EXPECT_EQ(101, kept_arrives(&self->kept));
}

TEST_F(one, O8_waiting_and_not)
{
	struct timeval timeout = { .tv_usec = 1000 };

	EXPECT_EQ(-1, recv(self->fd, buffer.bytes, 1000, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, setsockopt(self->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout,
				sizeof(timeout)));
	EXPECT_EQ(-1, recv(self->fd, buffer.bytes, 1000, 0));
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, shutdown(self->fd, SHUT_RD));
	EXPECT_EQ(0, recv(self->fd, buffer.bytes, 1000, 0));
}

TEST_F(one, O8_peek_is_of_one)
{
	send_many(&self->kept, 2);
	ASSERT_TRUE(wait_readable(self->fd));
	EXPECT_EQ(128, recv(self->fd, buffer.bytes, 1000, MSG_PEEK));
	EXPECT_EQ(0, buffer.first.id);
	EXPECT_EQ(0, buffer.first.flags & DIVERT_INFO_HELD);
	EXPECT_EQ(0, counted(&self->kept.before, "held"));
	EXPECT_EQ(256, records_read(self->fd));
	EXPECT_EQ(1, buffer.first.id);
	EXPECT_EQ(256, records_write(self->fd, &buffer));
	EXPECT_EQ(100, kept_arrives(&self->kept));
	EXPECT_EQ(101, kept_arrives(&self->kept));
}

TEST_F(one, O8_vectors)
{
	struct iovec iov[2] = {
		{ buffer.bytes, 100 }, { buffer.bytes + 100, 1000 },
	};

	send_many(&self->kept, 3);
	ASSERT_TRUE(wait_readable(self->fd));
	ASSERT_EQ(384, readv(self->fd, iov, 2));
	EXPECT_EQ(3, record_at(2)->id);
	iov[1].iov_len = 284;
	EXPECT_EQ(384, writev(self->fd, iov, 2));
	EXPECT_EQ(100, kept_arrives(&self->kept));
	EXPECT_EQ(101, kept_arrives(&self->kept));
	EXPECT_EQ(102, kept_arrives(&self->kept));
}

/* What was to go where there is no memory is lost, as with any datagram. */
TEST_F(one, O8_bad_memory_in_the_middle)
{
	int page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, mprotect(map + page, page, PROT_NONE));
	send_many(&self->kept, 3);
	ASSERT_TRUE(wait_readable(self->fd));
	EXPECT_EQ(128, recv(self->fd, map + page - 200, 1000, 0));
	EXPECT_EQ(3, counted(&self->kept.before, "read"));
	EXPECT_EQ(1, counted(&self->kept.before, "held"));
	EXPECT_EQ(128, send(self->fd, map + page - 200, 384, 0));
	EXPECT_EQ(-1, send(self->fd, map + page, 384, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(100, kept_arrives(&self->kept));
}

/* sendmmsg() */

struct batch {
	struct mmsghdr msg[8];
	struct iovec iov[8];
	union {
		struct cmsghdr cmsg;
		char bytes[CMSG_SPACE(sizeof(struct divert_info))];
	} control[8];
	int n;
};

static void batch_add(struct batch *batch, const struct divert_info *info,
		      const void *data, int len)
{
	struct cmsghdr *cmsg = &batch->control[batch->n].cmsg;
	struct msghdr *msg = &batch->msg[batch->n].msg_hdr;

	batch->iov[batch->n] = (struct iovec){ (void *)data, len };
	msg->msg_iov = &batch->iov[batch->n];
	msg->msg_iovlen = 1;
	if (info) {
		cmsg->cmsg_level = SOL_DIVERT;
		cmsg->cmsg_type = DIVERT_INFO;
		cmsg->cmsg_len = CMSG_LEN(sizeof(*info));
		memcpy(CMSG_DATA(cmsg), info, sizeof(*info));
		msg->msg_control = cmsg;
		msg->msg_controllen = sizeof(batch->control[0]);
	}
	batch->n++;
}

FIXTURE(batch)
{
	struct kept kept;
	struct taken taken[4];
	struct batch batch;
	int fd;
};

FIXTURE_SETUP(batch)
{
	int i;

	kept_open(&self->kept, AF_INET, AF_INET, "output");
	self->fd = self->kept.fd;
	ASSERT_EQ(0, hold_headers(self->fd, HEADERS, 0));
	send_many(&self->kept, 4);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(HEADERS, kept_read(self->fd, &self->taken[i]));
}

FIXTURE_TEARDOWN(batch)
{
	EXPECT_FALSE(readable(self->kept.rx));
	EXPECT_EQ(0, kept_away(&self->kept.before));
}

TEST_F(batch, O7_batch_of_verdicts)
{
	int i;

	for (i = 0; i < 4; i++)
		batch_add(&self->batch, &self->taken[i].info,
			  self->taken[i].packet.data, HEADERS);
	EXPECT_EQ(4, sendmmsg(self->fd, self->batch.msg, 4, 0));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(HEADERS, (int)self->batch.msg[i].msg_len);
		EXPECT_EQ(100 + i, kept_arrives(&self->kept));
	}
}

TEST_F(batch, O7_batch_fails_in_the_middle)
{
	int i;

	for (i = 0; i < 2; i++)
		batch_add(&self->batch, &self->taken[i].info, NULL, 0);
	batch_add(&self->batch, &self->taken[0].info, NULL, 0);
	batch_add(&self->batch, &self->taken[2].info, NULL, 0);
	EXPECT_EQ(2, sendmmsg(self->fd, self->batch.msg, 4, 0));
	EXPECT_EQ(100, kept_arrives(&self->kept));
	EXPECT_EQ(101, kept_arrives(&self->kept));
	EXPECT_EQ(2, kept_away(&self->kept.before));
	EXPECT_EQ(0, kept_verdict(self->fd, &self->taken[3],
				  DIVERT_VERDICT_UPTO | DIVERT_VERDICT_DROP));
}

/* One whose header is not there never reaches us. */
TEST_F(batch, O7_batch_breaks_off)
{
	int i;

	for (i = 0; i < 4; i++)
		batch_add(&self->batch, &self->taken[i].info, NULL, 0);
	self->batch.msg[2].msg_hdr.msg_control = (void *)8;
	EXPECT_EQ(2, sendmmsg(self->fd, self->batch.msg, 4, 0));
	EXPECT_EQ(100, kept_arrives(&self->kept));
	EXPECT_EQ(101, kept_arrives(&self->kept));
	EXPECT_EQ(0, kept_verdict(self->fd, &self->taken[3],
				  DIVERT_VERDICT_UPTO | DIVERT_VERDICT_DROP));
}

TEST_F(batch, O7_batch_ends_with_a_drop)
{
	int i;

	for (i = 0; i < 4; i++)
		batch_add(&self->batch, &self->taken[i].info, NULL, 0);
	((struct divert_info *)CMSG_DATA(&self->batch.control[3].cmsg))->flags |=
		DIVERT_VERDICT_DROP;
	EXPECT_EQ(4, sendmmsg(self->fd, self->batch.msg, 4, 0));
	/* They have gone by now. */
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(readable(self->kept.rx));
		EXPECT_EQ(100 + i, kept_arrives(&self->kept));
	}
}

/* A packet of its own does not overtake what was written before it. */
TEST_F(batch, O7_batch_keeps_its_order)
{
	static struct packet packet;
	struct divert_info info = self->taken[0].info;
	int i;

	info.flags &= ~DIVERT_INFO_HELD;
	packet_make(&packet, LOOP, LOOP, 50);
	for (i = 0; i < 4; i++) {
		batch_add(&self->batch, &self->taken[i].info, NULL, 0);
		if (i & 1)
			batch_add(&self->batch, &info, packet.data, packet.len);
	}
	EXPECT_EQ(6, sendmmsg(self->fd, self->batch.msg, 6, 0));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(100 + i, kept_arrives(&self->kept));
		if (i & 1)
			EXPECT_EQ(50, kept_arrives(&self->kept));
	}
}

/* The caller's own flag, and no end: a timer sees to it. */
TEST_F(batch, O7_batch_without_end)
{
	int i;

	for (i = 0; i < 4; i++) {
		batch_add(&self->batch, &self->taken[i].info, NULL, 0);
		EXPECT_EQ(0, sendmsg(self->fd, &self->batch.msg[i].msg_hdr,
				     MSG_BATCH));
	}
	for (i = 0; i < 4; i++)
		EXPECT_EQ(100 + i, kept_arrives(&self->kept));
}

TEST_F(batch, O7_batch_is_closed)
{
	int i;

	for (i = 0; i < 4; i++) {
		batch_add(&self->batch, &self->taken[i].info, NULL, 0);
		EXPECT_EQ(0, sendmsg(self->fd, &self->batch.msg[i].msg_hdr,
				     MSG_BATCH));
	}
	close(self->fd);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(100 + i, kept_arrives(&self->kept));
}

TEST_HARNESS_MAIN
