// SPDX-License-Identifier: GPL-2.0
/*
 * What a socket keeps queued, and what becomes of the rest.
 *
 * TIMEOUT=240
 */

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "divert_test.h"
#include "kselftest_harness.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT	103
#endif

/* The same rule wherever it could take a packet again, and behind our hook a
 * counter of what passes there. Input is left alone.
 */
#define RULES \
	"table ip t {\n" \
	" counter ours { }\n" \
	" counter looked { }\n" \
	" counter behind { }\n" \
	" counter sent { }\n" \
	" chain looked {\n" \
	"  type filter hook output priority -160;\n" \
	"  udp dport 5000 counter name looked\n" \
	" }\n" \
	" chain o {\n" \
	"  type filter hook output priority mangle;\n" \
	"  udp dport 5000 meta mark set 0x1b580064\n" \
	" }\n" \
	" chain behind {\n" \
	"  type filter hook output priority 0;\n" \
	"  udp dport 5000 counter name behind\n" \
	" }\n" \
	" chain p {\n" \
	"  type filter hook postrouting priority mangle;\n" \
	"  udp dport 5000 meta mark set 0x1b580064\n" \
	" }\n" \
	" chain sent {\n" \
	"  type filter hook postrouting priority 200;\n" \
	"  udp dport 5000 meta mark 0 counter name sent\n" \
	" }\n" \
	"}\n"

static struct packet got;

FIXTURE(limits)
{
	struct loop loop;
	struct divert_limits limits;
	struct counters before;
};

FIXTURE_SETUP(limits)
{
	ns_new();
	self->loop.fd = divert_open(PORT);
	self->loop.tx = udp_open(NULL, 0);
	self->loop.rx = udp_open(LOOP, 0);
	self->limits.size = sizeof(self->limits);
	nft_load(RULES);
	counters_read(&self->before);
}

FIXTURE_TEARDOWN(limits)
{
	EXPECT_FALSE(readable(self->loop.rx));
}

static struct divert_limits get_limits(int fd)
{
	struct divert_limits limits;
	socklen_t len = sizeof(limits);

	memset(&limits, 0xff, sizeof(limits));
	if (getsockopt(fd, SOL_DIVERT, DIVERT_LIMITS, &limits, &len) ||
	    len != sizeof(limits))
		die("DIVERT_LIMITS");
	return limits;
}

/* Packets with this many bytes of payload, and one more each. */
static void send_some(const struct loop *loop, int payload, int n)
{
	int i;

	for (i = 0; i < n; i++)
		loop_send(loop, payload + i);
}

/* These have come, in order, and no others. */
static bool received(int fd, int payload, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (udp_receive(fd, got.data, sizeof(got.data)) != payload + i)
			return false;
	return !readable(fd);
}

/* The option */

TEST_F(limits, O5_default_is_none)
{
	struct divert_limits limits = get_limits(divert_socket());

	EXPECT_EQ(0, memcmp(&self->limits, &limits, sizeof(limits)));
}

TEST_F(limits, O5_read_back)
{
	struct divert_limits limits = {
		.size = sizeof(limits), .packets = 7, .bytes = 1ULL << 40,
		.age = 1000000, .full = DIVERT_POLICY_PASS,
		.close = DIVERT_POLICY_PASS,
	};
	int fd[2] = { divert_socket(), self->loop.fd }, i;
	struct divert_limits back;

	/* Before bind and behind it. */
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, limits_set(fd[i], &limits));
		back = get_limits(fd[i]);
		EXPECT_EQ(0, memcmp(&limits, &back, sizeof(back)));
		EXPECT_EQ(0, limits_set(fd[i], &self->limits));
		back = get_limits(fd[i]);
		EXPECT_EQ(0, memcmp(&self->limits, &back, sizeof(back)));
	}
}

TEST_F(limits, O5_invalid_einval)
{
	static const struct divert_limits wrong[] = {
		{ .size = 0 },
		{ .size = sizeof(*wrong) - 1 },
		{ .size = sizeof(*wrong) + 1 },
		{ .size = sizeof(*wrong), .full = 2 },
		{ .size = sizeof(*wrong), .old = 2 },
		{ .size = sizeof(*wrong), .close = 255 },
		{ .size = sizeof(*wrong), .reserved = 1 },
		{ .size = sizeof(*wrong), .age = 1U << 31 },
	};
	struct divert_limits limits = self->limits, back;
	socklen_t len;
	int i, fd = self->loop.fd;

	limits.packets = 5;
	EXPECT_EQ(0, limits_set(fd, &limits));
	for (i = 0; i < ARRAY_LEN(wrong); i++)
		EXPECT_EQ(-EINVAL, limits_set(fd, &wrong[i])) {
			TH_LOG("%d", i);
		}
	EXPECT_EQ(-EINVAL, errno_of(setsockopt(fd, SOL_DIVERT, DIVERT_LIMITS,
					       &limits, sizeof(limits) - 1)));
	EXPECT_EQ(-EINVAL, errno_of(setsockopt(fd, SOL_DIVERT, DIVERT_LIMITS,
					       &limits, sizeof(limits) + 1)));
	len = sizeof(limits) - 1;
	EXPECT_EQ(-EINVAL, errno_of(getsockopt(fd, SOL_DIVERT, DIVERT_LIMITS,
					       &back, &len)));
	back = get_limits(fd);
	EXPECT_EQ(0, memcmp(&limits, &back, sizeof(back)));
}

/* No room */

TEST_F(limits, O5_packets)
{
	self->limits.packets = 3;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	send_some(&self->loop, 10, 5);
	EXPECT_EQ(3, counted(&self->before, "diverted"));
	EXPECT_EQ(2, counted(&self->before, "full"));
	EXPECT_TRUE(loop_pass(&self->loop, 10));
	loop_send(&self->loop, 20);
	EXPECT_TRUE(loop_pass(&self->loop, 11));
	EXPECT_TRUE(loop_pass(&self->loop, 12));
	EXPECT_TRUE(loop_pass(&self->loop, 20));
	EXPECT_EQ(2, counted(&self->before, "full"));
}

TEST_F(limits, O5_bytes)
{
	self->limits.bytes = 2 * 128;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	loop_send(&self->loop, 100);
	loop_send(&self->loop, 100);
	loop_send(&self->loop, 0);
	EXPECT_EQ(1, counted(&self->before, "full"));
	EXPECT_TRUE(loop_pass(&self->loop, 100));
	/* As much as has become free. */
	loop_send(&self->loop, 101);
	EXPECT_EQ(2, counted(&self->before, "full"));
	loop_send(&self->loop, 100);
	EXPECT_EQ(2, counted(&self->before, "full"));
	EXPECT_TRUE(loop_pass(&self->loop, 100));
	EXPECT_TRUE(loop_pass(&self->loop, 100));
	/* Peeking frees nothing, and nothing is freed twice. */
	loop_send(&self->loop, 228);
	EXPECT_EQ(256, recv(self->loop.fd, got.data, 1000, MSG_PEEK));
	loop_send(&self->loop, 0);
	EXPECT_EQ(3, counted(&self->before, "full"));
	EXPECT_TRUE(loop_pass(&self->loop, 228));
}

TEST_F(limits, O5_full_pass)
{
	self->limits.packets = 2;
	self->limits.full = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	send_some(&self->loop, 10, 5);
	EXPECT_EQ(2, counted(&self->before, "diverted"));
	EXPECT_EQ(3, counted(&self->before, "passed"));
	EXPECT_EQ(0, counted(&self->before, "full"));
	/* Not diverted again by the rule at POST_ROUTING, but seen by others,
	 * in the end without a mark.
	 */
	EXPECT_TRUE(received(self->loop.rx, 12, 3));
	EXPECT_EQ(3, nft_packets("behind"));
	EXPECT_EQ(3, nft_packets("sent"));
	EXPECT_TRUE(loop_pass(&self->loop, 10));
	EXPECT_TRUE(loop_pass(&self->loop, 11));
}

/* The buffer is a limit like the others. */
TEST_F(limits, O5_full_pass_of_the_buffer)
{
	int i, n = 100, passed;

	set_int(self->loop.fd, SOL_SOCKET, SO_RCVBUF, 20000);
	self->limits.full = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	for (i = 0; i < n; i++)
		loop_send(&self->loop, 1000);
	passed = counted(&self->before, "passed");
	EXPECT_LT(0, passed);
	EXPECT_EQ(n, counted(&self->before, "diverted") + passed);
	EXPECT_EQ(0, counted(&self->before, "full"));
	for (i = 0; i < passed; i++)
		EXPECT_EQ(1000, udp_receive(self->loop.rx, got.data, 2000));
}

/* Of a packet that is taken apart for reading, all parts that find no room. */
TEST_F(limits, O5_full_pass_segments)
{
	static __u8 data[10000];
	struct sockaddr_in to = inet_address(LOOP, UDP_PORT);
	int i, sum = 0;

	self->limits.packets = 3;
	self->limits.full = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	if (set_int(self->loop.tx, IPPROTO_UDP, UDP_SEGMENT, 1000))
		SKIP(return, "no UDP_SEGMENT here");
	ASSERT_EQ(10000, sendto(self->loop.tx, data, sizeof(data), 0,
				(struct sockaddr *)&to, sizeof(to)));
	for (i = 0; i < 7; i++)
		sum += udp_receive(self->loop.rx, got.data, sizeof(got.data));
	EXPECT_EQ(7000, sum);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(1028, divert_read(self->loop.fd, &got, NULL));
	EXPECT_FALSE(readable(self->loop.fd));
	EXPECT_EQ(3, counted(&self->before, "diverted"));
	EXPECT_EQ(7, counted(&self->before, "passed"));
	EXPECT_EQ(0, counted(&self->before, "full"));
	EXPECT_EQ(7, nft_packets("sent"));
}

/* However many packets come at the same time. */

#define RACERS	2

struct racer {
	pthread_t thread;
	pthread_barrier_t *start;
	int tx;
};

static void *race(void *arg)
{
	const struct racer *racer = arg;

	pthread_barrier_wait(racer->start);
	udp_send(racer->tx, LOOP, 10);
	return NULL;
}

static void race_all(struct racer *racers)
{
	pthread_barrier_t start;
	int i;

	if (pthread_barrier_init(&start, NULL, RACERS))
		die("barrier");
	for (i = 0; i < RACERS; i++) {
		racers[i].start = &start;
		if (pthread_create(&racers[i].thread, NULL, race, &racers[i]))
			die("thread");
	}
	for (i = 0; i < RACERS; i++)
		pthread_join(racers[i].thread, NULL);
	pthread_barrier_destroy(&start);
}

/* Packets that were queued beyond a limit that holds one, in many races. */
static int overshoot(int fd)
{
	struct racer racers[RACERS];
	int i, round, over = 0;

	for (i = 0; i < RACERS; i++)
		racers[i].tx = udp_open(NULL, 0);
	for (round = 0; round < 300; round++) {
		race_all(racers);
		divert_read(fd, &got, NULL);
		while (readable(fd)) {
			divert_read(fd, &got, NULL);
			over++;
		}
	}
	return over;
}

TEST_F(limits, D8_O5_packets_from_several_cpus)
{
	self->limits.packets = 1;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	EXPECT_EQ(0, overshoot(self->loop.fd));
	EXPECT_EQ(300, counted(&self->before, "full"));
}

TEST_F(limits, D8_O5_bytes_from_several_cpus)
{
	self->limits.bytes = 2 * 38 - 1;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	EXPECT_EQ(0, overshoot(self->loop.fd));
	EXPECT_EQ(300, counted(&self->before, "full"));
}

/* Too old */

TEST_F(limits, O5_old_drop)
{
	self->limits.age = 20;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	send_some(&self->loop, 10, 5);
	EXPECT_TRUE(wait_counted(&self->before, "expired", 5));
	EXPECT_FALSE(readable(self->loop.fd));
	EXPECT_EQ(0, counted(&self->before, "read"));

	/* And so on. */
	send_some(&self->loop, 10, 3);
	EXPECT_TRUE(wait_counted(&self->before, "expired", 8));
}

TEST_F(limits, O5_old_pass)
{
	self->limits.age = 20;
	self->limits.old = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	send_some(&self->loop, 10, 5);
	EXPECT_TRUE(received(self->loop.rx, 10, 5));
	EXPECT_TRUE(wait_counted(&self->before, "released", 5));
	EXPECT_FALSE(readable(self->loop.fd));
	EXPECT_EQ(5, counted(&self->before, "diverted"));
	EXPECT_EQ(0, counted(&self->before, "expired"));
	/* The hooks before ours have seen it once. */
	EXPECT_EQ(5, nft_packets("looked"));
	EXPECT_EQ(5, nft_packets("behind"));
	EXPECT_EQ(5, nft_packets("sent"));
}

TEST_F(limits, O5_age_counts_for_those_queued_before)
{
	send_some(&self->loop, 10, 5);
	self->limits.age = 1;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	EXPECT_TRUE(wait_counted(&self->before, "expired", 5));
	self->limits.age = 0;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	loop_send(&self->loop, 10);
	EXPECT_TRUE(loop_pass(&self->loop, 10));
}

static __s64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* A packet that is younger stays, unless the machine was too slow for that. */
TEST_F(limits, O5_each_by_its_own_age)
{
	struct timespec half = { .tv_sec = 1 }, some = { .tv_nsec = 10000000 };
	int tries = 5, len;
	__s64 late;

	self->limits.age = 2000;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	do {
		long expired = counted(&self->before, "expired");

		loop_send(&self->loop, 10);
		nanosleep(&half, NULL);
		late = now_ms();
		loop_send(&self->loop, 11);
		while (counted(&self->before, "expired") == expired)
			nanosleep(&some, NULL);
		len = recv(self->loop.fd, got.data, 100, MSG_DONTWAIT);
	} while (now_ms() - late >= 2000 && --tries);
	EXPECT_LT(0, tries);
	EXPECT_EQ(39, len);
}

TEST_F(limits, O5_long_age_keeps)
{
	self->limits.age = 1000 * 1000;
	self->limits.old = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	loop_send(&self->loop, 10);
	EXPECT_TRUE(loop_pass(&self->loop, 10));
	EXPECT_EQ(1, counted(&self->before, "read"));
}

/* Closing */

TEST_F(limits, O5_close_drop)
{
	send_some(&self->loop, 10, 5);
	EXPECT_TRUE(loop_pass(&self->loop, 10));
	close(self->loop.fd);
	EXPECT_EQ(4, counted(&self->before, "unread"));
	EXPECT_EQ(0, counted(&self->before, "released"));
}

TEST_F(limits, O5_close_pass)
{
	self->limits.close = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	send_some(&self->loop, 10, 50);
	EXPECT_EQ(38, divert_read(self->loop.fd, &got, NULL));
	close(self->loop.fd);
	EXPECT_TRUE(received(self->loop.rx, 11, 49));
	EXPECT_EQ(49, counted(&self->before, "released"));
	EXPECT_EQ(0, counted(&self->before, "unread"));
	EXPECT_EQ(50, nft_packets("looked"));
	EXPECT_EQ(49, nft_packets("behind"));
	EXPECT_EQ(49, nft_packets("sent"));
}

TEST_F(limits, O5_close_pass_input)
{
	nft_load("flush ruleset\n");
	nft_mark_udp("prerouting", MARK(PORT, COOKIE));
	self->limits.close = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	send_some(&self->loop, 10, 10);
	EXPECT_TRUE(wait_counted(&self->before, "diverted", 10));
	close(self->loop.fd);
	EXPECT_TRUE(received(self->loop.rx, 10, 10));
	EXPECT_EQ(10, counted(&self->before, "released"));
}

/* Packets that a divert socket has sent, to itself and to another. */
TEST_F(limits, O5_close_pass_of_written)
{
	struct sockaddr_in from;

	self->limits.close = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	loop_send(&self->loop, 10);
	EXPECT_EQ(38, divert_read(self->loop.fd, &got, &from));
	divert_set_cookie(&from, 0);
	EXPECT_EQ(38, divert_write(self->loop.fd, &got, &from));
	EXPECT_EQ(2, counted(&self->before, "diverted"));
	close(self->loop.fd);
	EXPECT_TRUE(received(self->loop.rx, 10, 1));
	EXPECT_EQ(1, counted(&self->before, "released"));
}

TEST_F(limits, O5_close_pass_sender_has_gone)
{
	self->limits.close = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	send_some(&self->loop, 10, 3);
	close(self->loop.tx);
	close(self->loop.fd);
	EXPECT_TRUE(received(self->loop.rx, 10, 3));
}

/* Copies do not have to go on. */
TEST_F(limits, O5_close_pass_of_copies)
{
	int fd = divert_socket();

	close(self->loop.fd);
	EXPECT_EQ(0, set_int(fd, SOL_DIVERT, DIVERT_TEE, 1));
	self->limits.close = DIVERT_POLICY_PASS;
	self->limits.old = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(fd, &self->limits));
	EXPECT_EQ(0, divert_bind(fd, PORT));
	send_some(&self->loop, 10, 3);
	EXPECT_TRUE(received(self->loop.rx, 10, 3));
	EXPECT_EQ(3, counted(&self->before, "teed"));
	close(fd);
	EXPECT_EQ(3, counted(&self->before, "unread"));
	EXPECT_EQ(0, counted(&self->before, "released"));
}

/* Packets keep the policies that they were queued under. */
TEST_F(limits, O5_policy_of_the_time)
{
	self->limits.close = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	loop_send(&self->loop, 10);
	self->limits.close = DIVERT_POLICY_DROP;
	self->limits.old = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	loop_send(&self->loop, 11);
	self->limits.close = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	loop_send(&self->loop, 12);
	self->limits.close = DIVERT_POLICY_DROP;
	self->limits.old = DIVERT_POLICY_DROP;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	close(self->loop.fd);
	EXPECT_EQ(10, udp_receive(self->loop.rx, got.data, 100));
	EXPECT_EQ(12, udp_receive(self->loop.rx, got.data, 100));
	EXPECT_EQ(2, counted(&self->before, "released"));
	EXPECT_EQ(1, counted(&self->before, "unread"));
}

TEST_F(limits, O5_close_pass_with_info)
{
	self->limits.close = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	EXPECT_EQ(0, set_int(self->loop.fd, SOL_DIVERT, DIVERT_INFO, 1));
	send_some(&self->loop, 10, 3);
	EXPECT_TRUE(loop_pass(&self->loop, 10));
	close(self->loop.fd);
	EXPECT_TRUE(received(self->loop.rx, 11, 2));
}

/* Peeking is no excuse */

static void *peek(void *arg)
{
	static __u8 data[65536];
	int fd = *(int *)arg;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (;;)
		recv(fd, data, sizeof(data), MSG_PEEK | MSG_DONTWAIT);
	return NULL;
}

TEST_F(limits, O5_old_pass_while_peeking)
{
	pthread_t thread[2];
	int i, payload = 50000;

	set_int(self->loop.rx, SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20);
	self->limits.age = 1;
	self->limits.old = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, set_int(self->loop.fd, SOL_DIVERT, DIVERT_INFO, 1));
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, peek,
					    &self->loop.fd));
	for (i = 0; i < 200; i++) {
		loop_send(&self->loop, payload);
		ASSERT_EQ(payload, udp_receive(self->loop.rx, got.data,
					       sizeof(got.data)));
	}
	for (i = 0; i < 2; i++) {
		pthread_cancel(thread[i]);
		pthread_join(thread[i], NULL);
	}
	EXPECT_EQ(200, counted(&self->before, "released"));
}

/* Devices that go */

TEST_F(limits, R6_device_removed_while_held)
{
	int peer = veth_new();

	(void)peer;
	self->limits.close = DIVERT_POLICY_PASS;
	EXPECT_EQ(0, limits_set(self->loop.fd, &self->limits));
	ip_batch("neighbour add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v0\n");
	udp_send(self->loop.tx, "10.0.0.2", 10);
	udp_send(self->loop.tx, "10.0.0.2", 11);
	loop_send(&self->loop, 12);
	/* Waits until nobody holds it any more. */
	ip_batch("link delete v0\n");
	EXPECT_EQ(38, divert_read(self->loop.fd, &got, NULL));
	EXPECT_TRUE(packet_valid(&got));
	close(self->loop.fd);
	EXPECT_EQ(12, udp_receive(self->loop.rx, got.data, 100));
	EXPECT_EQ(1, counted(&self->before, "released"));
	EXPECT_EQ(1, counted(&self->before, "unread"));
}

TEST_HARNESS_MAIN
