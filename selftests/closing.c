// SPDX-License-Identifier: GPL-2.0
/*
 * A socket that passes what is unread as it closes, while more packets come:
 * they leave in the order that they were sent in.
 *
 * TIMEOUT=120
 */

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "inet6_test.h"
#include "kselftest_harness.h"

/* Fewer come meanwhile than were there: the socket waits for no more. */
#define QUEUED	1000
#define MORE	900
#define TRIES	20

/*	here d1, which shows what is sent at once, and on any CPU in its order
 *	10.1.0.1
 *	fd01::1
 */
FIXTURE(closing)
{
	int tx;
	int seen;
};

FIXTURE_VARIANT(closing)
{
	const char *to;
};

FIXTURE_VARIANT_ADD(closing, ipv4)
{
	.to = "::ffff:10.1.0.2",
};

FIXTURE_VARIANT_ADD(closing, ipv6)
{
	.to = "fd01::2",
};

/* Queued packets stay charged to the sender: it needs room for all of them. */
static int sender_open(const char *to)
{
	struct sockaddr_in6 sin6 = address6(to, UDP_PORT);
	int fd = udp6_open(0);

	if (set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, 32 << 20) ||
	    connect(fd, (struct sockaddr *)&sin6, sizeof(sin6)))
		die("sender");
	return fd;
}

static int seen_open(const char *dev)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = ifindex_of(dev),
	};
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die("capture on %s", dev);
	return fd;
}

FIXTURE_SETUP(closing)
{
	ns_new();
	ip_batch("link add d1 type dummy\n"
		 "address add 10.1.0.1/24 dev d1\n"
		 "address add fd01::1/64 dev d1 nodad\n"
		 "link set d1 up\n"
		 "neighbour add 10.1.0.2 lladdr 02:00:00:00:00:02 dev d1\n"
		 "neighbour add fd01::2 lladdr 02:00:00:00:00:02 dev d1\n");
	sysctl_write(DIVERT_SYSCTL("no_listener"), "accept");
	mark_udp("output");
	self->tx = sender_open(variant->to);
	self->seen = seen_open("d1");
}

FIXTURE_TEARDOWN(closing)
{
}

static void send_number(int fd, int number)
{
	if (send(fd, &number, sizeof(number), 0) != sizeof(number))
		die("send");
}

/* What a packet carries, -1 if it is not one of ours. */
static int number_of(struct packet *packet)
{
	bool is4 = packet->ip.version == 4;
	int protocol = is4 ? packet->ip.protocol : header6(packet)->ip6_nxt;
	int number;

	if (protocol != IPPROTO_UDP)
		return -1;
	memcpy(&number, (is4 ? packet_udp(packet) : udp6(packet)) + 1,
	       sizeof(number));
	return number;
}

/* The packets that have been sent, as long as they are 0, 1, 2 and so on. */
static int in_order(int seen)
{
	int number, n = 0;

	while ((got.len = recv(seen, got.data, sizeof(got.data),
			       MSG_DONTWAIT)) > 0) {
		number = number_of(&got);
		if (number >= 0 && number != n) {
			fprintf(stderr, "# %d instead of %d\n", number, n);
			return -1;
		}
		n += number >= 0;
	}
	return n;
}

static __s64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

struct sender {
	pthread_t thread;
	pthread_barrier_t start;
	int tx;
	__s64 when[MORE];
};

static void *send_more(void *arg)
{
	struct sender *sender = arg;
	int i;

	pthread_barrier_wait(&sender->start);
	for (i = 0; i < MORE; i++) {
		send_number(sender->tx, QUEUED + i);
		sender->when[i] = now_ns();
	}
	return NULL;
}

/* Closes while more are sent; as many as were, meanwhile. */
static int close_under_load(int fd, int tx)
{
	static struct sender sender;
	__s64 from, to;
	int i, n = 0;

	sender.tx = tx;
	if (pthread_barrier_init(&sender.start, NULL, 2) ||
	    pthread_create(&sender.thread, NULL, send_more, &sender))
		die("thread");
	pthread_barrier_wait(&sender.start);
	from = now_ns();
	close(fd);
	to = now_ns();
	pthread_join(sender.thread, NULL);
	pthread_barrier_destroy(&sender.start);

	for (i = 0; i < MORE; i++)
		n += sender.when[i] > from && sender.when[i] < to;
	return n;
}

static int passing_open(void)
{
	struct divert_limits limits = {
		.size = sizeof(limits), .close = DIVERT_POLICY_PASS,
	};
	int fd = divert_open(PORT);

	if (limits_set(fd, &limits))
		die("DIVERT_LIMITS");
	return fd;
}

/* Again until the two have met several times. */
TEST_F_TIMEOUT(closing, O5_close_pass_keeps_the_order, 100)
{
	int try, i, met = 0;

	for (try = 0; try < TRIES && met < 5; try++) {
		int fd = passing_open();
		struct counters before;

		counters_read(&before);
		for (i = 0; i < QUEUED; i++)
			send_number(self->tx, i);
		ASSERT_EQ(QUEUED, counted(&before, "diverted"));
		met += close_under_load(fd, self->tx) > 1;
		ASSERT_EQ(QUEUED + MORE, in_order(self->seen));
		EXPECT_LE(QUEUED, counted(&before, "released"));
		EXPECT_EQ(0, counted(&before, "unread"));
	}
	EXPECT_EQ(5, met);
}

TEST_HARNESS_MAIN
