// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once: threads that open, bind, read, write, set options, judge,
 * and close the same sockets, that send on two CPUs, take devices down and away,
 * make and leave namespaces, turn settings, dump the sockets.
 *
 * Proves that nothing hangs, crashes or stays behind: afterwards a packet makes
 * its round, and the runner looks at the kernel's log and for references to the
 * module. DURATION in the environment is in seconds.
 *
 * TIMEOUT=3900
 */

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#include "divert_test.h"
#include "kselftest_harness.h"

#define DURATION_DEFAULT	15
#define SHARED			8	/* sockets that all threads use */

/* Numbers of file descriptors, which may be closed by others at any time. */
static atomic_int shared[SHARED];
static atomic_bool over;
static atomic_long turns;

static long seconds(void)
{
	const char *value = getenv("DURATION");

	return value && *value ? atol(value) : DURATION_DEFAULT;
}

static int below(unsigned int *seed, int n)
{
	return rand_r(seed) / 7 % n;
}

static int some(unsigned int *seed)
{
	return shared[below(seed, SHARED)];
}

static int open_socket(bool v6)
{
	return socket(v6 ? AF_INET6 : AF_INET,
		      SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_DIVERT);
}

/* dup2() closes the old socket and opens the new one under everybody's feet. */
static void replace(unsigned int *seed)
{
	bool v6 = below(seed, 2);
	int fd = open_socket(v6), one = 1;
	struct sockaddr_in6 any = {
		.sin6_family = v6 ? AF_INET6 : AF_INET,
		.sin6_port = htons(PORT + below(seed, 2)),
	};

	if (fd < 0)
		return;
	if (below(seed, 2))
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (!below(seed, 3))
		set_int(fd, SOL_DIVERT, DIVERT_TEE, 1);
	dup2(fd, some(seed));
	close(fd);
	bind(some(seed), (struct sockaddr *)&any, sizeof(any));
}

static void set_options(unsigned int *seed)
{
	struct divert_limits limits = {
		.size = sizeof(limits), .packets = below(seed, 4) * 8,
		.age = below(seed, 2) * below(seed, 20),
		.full = below(seed, 2), .old = below(seed, 2),
		.close = below(seed, 2),
	};
	struct divert_hold hold = {
		.size = sizeof(hold), .headers = below(seed, 3) * 32,
		.packets = 16, .flags = below(seed, 2),
	};
	static const int option[] = { DIVERT_INFO, DIVERT_GSO, DIVERT_RECORDS };
	int fd = some(seed);

	switch (below(seed, 5)) {
	case 0:
		setsockopt(fd, SOL_DIVERT, DIVERT_LIMITS, &limits, sizeof(limits));
		break;
	case 1:
		setsockopt(fd, SOL_DIVERT, DIVERT_HOLD, &hold, sizeof(hold));
		break;
	case 2:
		set_int(fd, SOL_DIVERT, DIVERT_INPLACE, below(seed, 3));
		break;
	case 3:
		set_int(fd, SOL_SOCKET, SO_RCVBUF, 4096 << below(seed, 10));
		break;
	default:
		set_int(fd, SOL_DIVERT, option[below(seed, 3)], below(seed, 2));
	}
}

/* A verdict on some of what is kept. */
static void judge(unsigned int *seed)
{
	static const __u32 flags[] = {
		0, DIVERT_VERDICT_DROP, DIVERT_VERDICT_UPTO, DIVERT_VERDICT_RULES,
	};
	struct divert_record record = {
		.size = sizeof(record), .len = sizeof(record),
		.id = 1 + below(seed, 4000),
		.flags = DIVERT_INFO_HELD | flags[below(seed, 4)],
	};

	send(some(seed), &record, sizeof(record), MSG_DONTWAIT);
}

static void read_and_write(unsigned int *seed)
{
	static _Thread_local __u8 data[65536];
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	int fd = some(seed);
	int n = recvfrom(fd, data, sizeof(data) >> below(seed, 11),
			 MSG_DONTWAIT, (struct sockaddr *)&address, &len);

	if (n > 0 && below(seed, 8))
		sendto(below(seed, 8) ? fd : some(seed), data, n, MSG_DONTWAIT,
		       (struct sockaddr *)&address, len);
}

static void *use_sockets(void *number)
{
	unsigned int seed = (long)number;

	while (!over) {
		switch (below(&seed, 32)) {
		case 0:
			replace(&seed);
			break;
		case 1:
			set_options(&seed);
			break;
		case 2:
			judge(&seed);
			break;
		case 3:
			if (!below(&seed, 20))
				shutdown(some(&seed), below(&seed, 3));
			break;
		default:
			read_and_write(&seed);
		}
		turns++;
	}
	return NULL;
}

/* UDP of any size, to lo and to the other end of the veth. */
static void *send_packets(void *number)
{
	unsigned int seed = (long)number;
	int fd = udp_open(NULL, 0);
	static const __u8 data[8000];
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((long)number % 2, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	while (!over) {
		struct sockaddr_in to = inet_address(below(&seed, 2) ? LOOP :
						     "10.0.0.2", UDP_PORT);

		set_int(fd, SOL_SOCKET, SO_MARK,
			below(&seed, 4) ? MARK(PORT + below(&seed, 2),
					       1 + below(&seed, 200)) : 0);
		sendto(fd, data, below(&seed, below(&seed, 4) ? 200 : 8000),
		       MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
	}
	close(fd);
	return NULL;
}

static void turn_settings(unsigned int *seed)
{
	static const char * const setting[][3] = {
		{ "net/divert/no_listener", "drop", "accept" },
		{ "net/divert/defrag", "0", "1" },
		{ "net/divert/in_place", "0", "2" },
		{ "net/divert/cookie_mask", "0x7fff", "0xffff" },
		{ "net/divert/port_range", "1 65535", "7000 7000" },
	};
	int i = below(seed, ARRAY_LEN(setting));

	sysctl_write(setting[i][0], setting[i][1 + below(seed, 2)]);
}

/* The device that packets come by and go by is taken away and made again, or is
 * down for a while; sockets are listed; the module is asked to go.
 */
static const char * const change[] = {
	"ip link del v0; ip link add v0 type veth peer name v1; ip addr add 10.0.0.1/24 dev v0; ip link set v1 up",
	"ip link set v0 up; ip neigh replace 10.0.0.2 lladdr 2:0:0:0:0:1 dev v0",
	"ip link set v0 down; ip link set v0 up",
	"cat /proc/net/divert /proc/net/stat/divert; ss -w -a; rmmod divert",
};

static void *change_around(void *number)
{
	unsigned int seed = (long)number;
	char command[256];
	int failed = 0;

	while (!over) {
		turn_settings(&seed);
		snprintf(command, sizeof(command), "{ %s; } >/dev/null 2>&1",
			 change[below(&seed, ARRAY_LEN(change))]);
		/* Some must fail: the module is in use. */
		failed += system(command) != 0;
		turns++;
	}
	return (void *)(long)failed;
}

/* Namespaces that end with packets in sockets, and sockets that end with them. */
static void short_lives(void)
{
	struct loop loop;
	int i;

	while (true) {
		pid_t child = fork();

		if (!child) {
			loop_open(&loop);
			set_int(loop.fd, SOL_DIVERT, DIVERT_INPLACE, 1);
			for (i = 0; i < 20; i++)
				loop_send(&loop, i * 100);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
}

#define USERS	4

FIXTURE(races)
{
	int unused;
};

FIXTURE_SETUP(races)
{
}

FIXTURE_TEARDOWN(races)
{
}

TEST_F_TIMEOUT(races, S10_R6_all_at_once, 3900)
{
	pthread_t user[USERS], sender[2], changer;
	struct loop loop;
	pid_t namespaces;
	long i;

	ns_new();
	for (i = 0; i < SHARED; i++)
		shared[i] = open_socket(i & 1);
	namespaces = fork();
	if (!namespaces)
		short_lives();

	for (i = 0; i < USERS; i++)
		pthread_create(&user[i], NULL, use_sockets, (void *)(i + 1));
	for (i = 0; i < 2; i++)
		pthread_create(&sender[i], NULL, send_packets, (void *)(i + 10));
	pthread_create(&changer, NULL, change_around, (void *)20);

	sleep(seconds());
	over = true;
	for (i = 0; i < USERS; i++)
		pthread_join(user[i], NULL);
	for (i = 0; i < 2; i++)
		pthread_join(sender[i], NULL);
	pthread_join(changer, NULL);
	kill(namespaces, SIGKILL);
	waitpid(namespaces, NULL, 0);
	for (i = 0; i < SHARED; i++)
		close(shared[i]);
	TH_LOG("%ld turns in %ld seconds", (long)turns, seconds());
	EXPECT_LT(1000, turns);

	loop_open(&loop);
	EXPECT_TRUE(loop_unharmed(&loop));
}

TEST_HARNESS_MAIN
