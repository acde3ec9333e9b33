// SPDX-License-Identifier: GPL-2.0
/*
 * More than a daemon can take: a flood, many sockets, many namespaces.
 *
 * Proves that what is queued stays within its bounds, that every packet of a
 * flood is in the books, that others' traffic goes on beside it, and that all is
 * well as soon as it ends. DURATION (seconds of flood) and NAMESPACES in the
 * environment make it longer; with DURATION, the other CPU's traffic has to keep
 * 95 % of its rate, without it (a short run on a busy machine) a quarter.
 *
 * TIMEOUT=900
 */

#include <fcntl.h>
#include <linux/sock_diag.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "divert_test.h"
#include "kselftest_harness.h"

#define SOCKETS		10000
#define WINDOW_MS	400

static struct packet packet;

static long from_environment(const char *name, long or)
{
	const char *value = getenv(name);

	return value && *value ? atol(value) : or;
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_cpu(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		die("CPU %d", cpu);
}

/* Sends marked packets until it is killed; counts them where all can see. */
static pid_t flood(volatile long *sent)
{
	pid_t child = fork();
	int tx, i;

	if (child)
		return child;
	on_cpu(0);
	tx = udp_open(NULL, MARK(PORT, COOKIE));
	for (i = 0;; i++) {
		/* What is counted here has been sent, and nothing else. */
		udp_send(tx, LOOP, i % 1400);
		++*sent;
	}
}

/* Round trips of unmarked packets in a window of time. */
static long others_rate(const struct loop *loop)
{
	static __u8 data[2048];
	int tx = udp_open(NULL, 0);
	long end = now_ms() + WINDOW_MS, n = 0;

	while (now_ms() < end) {
		udp_send(tx, LOOP, 500);
		if (udp_receive(loop->rx, data, sizeof(data)) != 500)
			die("unmarked packet");
		n++;
	}
	close(tx);
	return n;
}

static long queued_memory(int fd)
{
	__u32 info[SK_MEMINFO_VARS];
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len))
		die("SO_MEMINFO");
	return info[SK_MEMINFO_RMEM_ALLOC];
}

FIXTURE(load)
{
	struct loop loop;
	volatile long *sent;
};

FIXTURE_SETUP(load)
{
	ns_new();
	self->loop.fd = divert_open(PORT);
	self->loop.tx = udp_open(NULL, MARK(PORT, COOKIE));
	self->loop.rx = udp_open(LOOP, 0);
	self->sent = mmap(NULL, sizeof(long), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

FIXTURE_TEARDOWN(load)
{
}

TEST_F_TIMEOUT(load, S4_D8_L3_flood, 850)
{
	long seconds = from_environment("DURATION", 6);
	long alone = 0, beside = 0, rate, most = 0, end, n = 0;
	int bound = get_int(self->loop.fd, SOL_SOCKET, SO_RCVBUF);
	struct counters before;
	pid_t flooder;

	on_cpu(1);
	counters_read(&before);
	flooder = flood(self->sent);
	/* Now with the flood, now without: whatever else there is hits both. */
	for (end = now_ms() + seconds * 1000; now_ms() < end;) {
		rate = others_rate(&self->loop);
		beside = rate > beside ? rate : beside;
		if (queued_memory(self->loop.fd) > most)
			most = queued_memory(self->loop.fd);
		kill(flooder, SIGSTOP);
		waitpid(flooder, NULL, WUNTRACED);
		rate = others_rate(&self->loop);
		alone = rate > alone ? rate : alone;
		kill(flooder, SIGCONT);
	}
	kill(flooder, SIGSTOP);
	waitpid(flooder, NULL, WUNTRACED);

	TH_LOG("%ld packets of flood; others: %ld in %d ms alone, %ld beside it; at most %ld bytes queued of %d",
	       *self->sent, alone, WINDOW_MS, beside, most, bound);
	EXPECT_LT(1000, *self->sent);
	/* A packet for each CPU may be beyond the bound. */
	EXPECT_GE(bound + 2 * 4096, most);
	EXPECT_LE(alone * (getenv("DURATION") ? 95 : 25), beside * 100);

	/* It may have been stopped between sending and counting. */
	n = counted(&before, "diverted") + counted(&before, "full") -
	    *self->sent;
	EXPECT_TRUE(n == 0 || n == 1) {
		TH_LOG("%ld too many in the books", n);
	}
	kill(flooder, SIGKILL);
	waitpid(flooder, NULL, 0);

	for (n = 0; readable(self->loop.fd); n++)
		ASSERT_LT(0, divert_read(self->loop.fd, &packet, NULL));
	EXPECT_EQ(n, counted(&before, "read"));
	EXPECT_EQ(n, counted(&before, "diverted"));
	EXPECT_EQ(0, queued_memory(self->loop.fd));
	loop_send(&self->loop, 10);
	EXPECT_TRUE(loop_pass(&self->loop, 10));
}

TEST_F_TIMEOUT(load, B1_many_sockets, 300)
{
	struct rlimit limit = { SOCKETS + 100, SOCKETS + 100 };
	static int fd[SOCKETS];
	int i, tx;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (i = 0; i < SOCKETS; i++) {
		fd[i] = divert_open(10000 + i);
		ASSERT_LE(0, fd[i]);
	}
	for (i = 0; i < SOCKETS; i += 97) {
		tx = udp_open(NULL, MARK(10000 + i, COOKIE));
		udp_send(tx, LOOP, 10);
		close(tx);
		EXPECT_EQ(38, divert_read(fd[i], &packet, NULL));
	}
	for (i = 0; i < SOCKETS; i++)
		close(fd[i]);
	loop_send(&self->loop, 10);
	EXPECT_TRUE(loop_pass(&self->loop, 10));
}

/* Each keeps its namespace, with a packet in it, until the end. */
TEST_F_TIMEOUT(load, S10_many_namespaces, 850)
{
	long i, n = from_environment("NAMESPACES", 60);
	struct rlimit limit = { 4 * n + 100, 4 * n + 100 };
	struct loop *loop = calloc(n, sizeof(*loop));
	int here = ns_open();

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (i = 0; i < n; i++)
		loop_open(&loop[i]);
	for (i = 0; i < n; i += 7)
		EXPECT_TRUE(loop_unharmed(&loop[i])) {
			TH_LOG("namespace %ld", i);
		}
	for (i = 0; i < n; i++) {
		close(loop[i].fd);
		close(loop[i].tx);
		close(loop[i].rx);
	}
	free(loop);
	ns_enter(here);
	close(here);
	loop_send(&self->loop, 10);
	EXPECT_TRUE(loop_pass(&self->loop, 10));
}

TEST_HARNESS_MAIN
