// SPDX-License-Identifier: GPL-2.0
/*
 * The traffic that a hop is measured with: one process sends in the client's
 * namespace and receives in the server's, in a closed loop, so that nothing but
 * the packets' way runs in between. Every packet is checked.
 *
 * One line of JSON to standard output. "cost" is what a packet (TCP: a MiB)
 * took, in ticks of the time stamp counter; on a single CPU without those while
 * it was idle: under QEMU's -icount these are instructions.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "bench.h"

#define BURST_MAX	1024
#define SIZE_MAX_UDP	65507
#define MIB		(1024 * 1024)
#define UDP_BUFFER	(4 * MIB)
#define TCP_BUFFER	MIB	/* fixed: how much is on its way changes costs */
#define TCP_WARMUP	8	/* MiB */

static const char usage[] =
"usage: traffic -c namespace -s namespace -a address [options]\n"
"  -c name   namespace to send in\n"
"  -s name   namespace to receive in\n"
"  -a addr   send to this address (default: the same as -A)\n"
"  -A addr   receive on this address\n"
"  -P n      on this port (default " BENCH_PORT_TEXT ")\n"
"  -l n      bytes of UDP payload (default 64)\n"
"  -b n      packets in flight (default 64)\n"
"  -n n      packets measured (default 10000)\n"
"  -w n      packets before, to warm up (default 1000)\n"
"  -t n      TCP instead of UDP: so many MiB\n"
"  -r        a hop rewrites the first byte of the payload\n"
"  -p        measure each burst's time, too: \"p50\", \"p99\", microseconds\n"
"  -L text   JSON members to begin the line with\n";

static struct {
	const char	*client;
	const char	*server;
	const char	*to;
	const char	*at;
	unsigned int	port;
	unsigned int	size;
	unsigned int	burst;
	unsigned int	packets;
	unsigned int	warmup;
	unsigned int	mib;
	bool		rewritten;
	bool		percentiles;
	const char	*label;
} opt = {
	.port		= BENCH_PORT,
	.size		= 64,
	.burst		= 64,
	.packets	= 10000,
	.warmup		= 1000,
};

/* What a packet's payload begins with. */
struct payload {
	uint8_t		byte;		/* the hop may rewrite this one */
	uint8_t		reserved[3];
	uint32_t	number;
};

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static void __attribute__((format(printf, 1, 2))) fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("traffic: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(EXIT_FAILURE);
}

/* Sockets */

static void namespace_enter(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(path);
	close(fd);
}

static struct sockaddr_in address_of(const char *text)
{
	struct sockaddr_in sa = {
		.sin_family	= AF_INET,
		.sin_port	= htons(opt.port),
	};

	if (!inet_aton(text, &sa.sin_addr))
		fail("no IPv4 address: %s", text);
	return sa;
}

static void set_int(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		die("traffic: setsockopt");
}

static int socket_in(const char *namespace, int type)
{
	int buffer = type == SOCK_DGRAM ? UDP_BUFFER : TCP_BUFFER;
	struct timeval timeout = { .tv_sec = 10 };
	int fd;

	namespace_enter(namespace);
	fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("traffic: socket");
	set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, buffer);
	set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, buffer);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)))
		die("traffic: SO_RCVTIMEO");
	return fd;
}

static int connected(const char *namespace, int type)
{
	struct sockaddr_in sa = address_of(opt.to);
	int fd = socket_in(namespace, type);

	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		die("traffic: connect");
	return fd;
}

static int bound(const char *namespace, int type)
{
	struct sockaddr_in sa = address_of(opt.at);
	int fd = socket_in(namespace, type);

	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)))
		die("traffic: bind");
	return fd;
}

/* Measuring */

struct reading {
	uint64_t	ticks;
	uint64_t	idle;
	struct timespec	time;
};

/* Nanoseconds for which the CPU slept; with -icount the clock is skipped ahead
 * to the next timer then, and they are ticks. 0 where this says nothing about
 * what is measured.
 */
static uint64_t idle_time(void)
{
	unsigned long long ns, sum = 0;
	char line[256];
	FILE *f;

	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		return 0;
	f = fopen("/proc/timer_list", "r");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " .idle_sleeptime : %llu", &ns) == 1)
			sum += ns;
	fclose(f);
	return sum;
}

static void start(struct reading *r)
{
	r->idle = idle_time();
	clock_gettime(CLOCK_MONOTONIC, &r->time);
	profile_start();
	r->ticks = __rdtsc();
}

static void stop(struct reading *r)
{
	r->ticks = __rdtsc();
	profile_stop();
	clock_gettime(CLOCK_MONOTONIC, &r->time);
	r->idle = idle_time();
}

static void report(const struct reading *from, const struct reading *to,
		   unsigned int units, const char *rest)
{
	double ticks = to->ticks - from->ticks;
	double seconds = to->time.tv_sec - from->time.tv_sec +
			 (to->time.tv_nsec - from->time.tv_nsec) / 1e9;
	double idle = (to->idle - from->idle) / 1e9 / seconds * ticks;

	if (opt.label)
		printf("{%s, ", opt.label);
	else
		printf("{");
	printf("\"units\": %u, \"cost\": %.1f, \"idle\": %.1f, ", units,
	       (ticks - idle) / units, idle / units);
	printf("\"rate\": %.1f%s}\n", units / seconds, rest);
}

/* UDP */

static struct udp {
	int		tx;
	int		rx;
	uint32_t	sent;
	uint32_t	received;
	uint8_t		*out;
	uint8_t		*in;
	struct iovec	iov_out[BURST_MAX];
	struct iovec	iov_in[BURST_MAX];
	struct mmsghdr	msg_out[BURST_MAX];
	struct mmsghdr	msg_in[BURST_MAX];
} udp;

static void messages_init(struct mmsghdr *msg, struct iovec *iov, uint8_t *data,
			  size_t size)
{
	unsigned int i;

	for (i = 0; i < opt.burst; i++) {
		iov[i].iov_base = data + i * size;
		iov[i].iov_len = size;
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
	}
}

static void udp_open(void)
{
	/* One byte more, so that a longer packet is seen. */
	size_t room = opt.size + 1;

	udp.rx = bound(opt.server, SOCK_DGRAM);
	udp.tx = connected(opt.client, SOCK_DGRAM);
	udp.out = calloc(opt.burst, opt.size);
	udp.in = calloc(opt.burst, room);
	if (!udp.out || !udp.in)
		die("traffic");
	messages_init(udp.msg_out, udp.iov_out, udp.out, opt.size);
	messages_init(udp.msg_in, udp.iov_in, udp.in, room);
}

static void udp_send(unsigned int n)
{
	struct payload payload = { .byte = BENCH_ORIGINAL };
	unsigned int i;
	int sent;

	for (i = 0; i < n; i++) {
		payload.number = udp.sent++;
		memcpy(udp.out + (size_t)i * opt.size, &payload,
		       sizeof(payload));
	}
	for (i = 0; i < n; i += sent) {
		sent = sendmmsg(udp.tx, udp.msg_out + i, n - i, 0);
		if (sent < 0)
			die("traffic: sendmmsg");
	}
}

static void udp_check(const struct mmsghdr *msg)
{
	const struct payload *payload = msg->msg_hdr.msg_iov->iov_base;
	int byte = opt.rewritten ? BENCH_REWRITTEN : BENCH_ORIGINAL;

	if (msg->msg_len != opt.size)
		fail("packet %u: %u bytes instead of %u", udp.received,
		     msg->msg_len, opt.size);
	if (payload->number != udp.received)
		fail("packet %u came when %u was due", payload->number,
		     udp.received);
	if (payload->byte != byte)
		fail("packet %u: first byte '%c' instead of '%c'", udp.received,
		     payload->byte, byte);
	udp.received++;
}

static void udp_receive(unsigned int n)
{
	unsigned int got = 0;
	int i, ret;

	while (got < n) {
		ret = recvmmsg(udp.rx, udp.msg_in, n - got, 0, NULL);
		if (ret < 0 && errno == EAGAIN)
			fail("lost %u packets of %u", n - got, udp.sent);
		if (ret < 0)
			die("traffic: recvmmsg");
		for (i = 0; i < ret; i++)
			udp_check(&udp.msg_in[i]);
		got += ret;
	}
}

static void udp_pass(unsigned int packets)
{
	unsigned int n;

	for (; packets; packets -= n) {
		n = packets < opt.burst ? packets : opt.burst;
		udp_send(n);
		udp_receive(n);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Each burst's time there, in microseconds. */
static void udp_percentiles(char *text, size_t size)
{
	unsigned int i, bursts = opt.packets / opt.burst ?: 1;
	double *us = calloc(bursts, sizeof(*us));
	struct timespec a, b;

	if (!us)
		die("traffic");
	for (i = 0; i < bursts; i++) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		udp_pass(opt.burst);
		clock_gettime(CLOCK_MONOTONIC, &b);
		us[i] = (b.tv_sec - a.tv_sec) * 1e6 +
			(b.tv_nsec - a.tv_nsec) / 1e3;
	}
	qsort(us, bursts, sizeof(*us), compare);
	snprintf(text, size, ", \"p50\": %.1f, \"p99\": %.1f", us[bursts / 2],
		 us[(unsigned int)(bursts * 0.99)]);
	free(us);
}

static void udp_measure(void)
{
	struct reading from, to;
	char rest[64] = "";

	udp_open();
	udp_pass(opt.warmup);
	start(&from);
	udp_pass(opt.packets);
	stop(&to);
	if (opt.percentiles)
		udp_percentiles(rest, sizeof(rest));
	report(&from, &to, opt.packets, rest);
}

/* TCP */

/* Sends until it is killed, or nobody listens any more. */
static void __attribute__((noreturn)) tcp_send(void)
{
	static char data[256 << 10];
	int fd = connected(opt.client, SOCK_STREAM);

	memset(data, BENCH_ORIGINAL, sizeof(data));
	while (send(fd, data, sizeof(data), MSG_NOSIGNAL) > 0)
		;
	exit(EXIT_SUCCESS);
}

/* Reads so many bytes, and returns how many of them were rewritten. */
static uint64_t tcp_receive(int fd, uint64_t bytes)
{
	static char data[256 << 10];
	uint64_t rewritten = 0;
	size_t want;
	ssize_t n;

	for (; bytes; bytes -= n) {
		want = bytes < sizeof(data) ? bytes : sizeof(data);
		n = recv(fd, data, want, 0);
		if (n < 0 && errno == EAGAIN)
			fail("TCP stands still");
		if (n <= 0)
			fail("TCP ended");
		rewritten += !!memchr(data, BENCH_REWRITTEN, n);
	}
	return rewritten;
}

static void tcp_measure(void)
{
	int listener = bound(opt.server, SOCK_STREAM), fd;
	struct reading from, to;
	uint64_t rewritten;
	pid_t child;

	if (listen(listener, 1))
		die("traffic: listen");
	child = fork();
	if (child < 0)
		die("traffic: fork");
	if (!child)
		tcp_send();
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		die("traffic: accept");

	tcp_receive(fd, TCP_WARMUP * MIB);
	start(&from);
	rewritten = tcp_receive(fd, (uint64_t)opt.mib * MIB);
	stop(&to);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	if (opt.rewritten != !!rewritten)
		fail("TCP was %srewritten", rewritten ? "" : "not ");
	report(&from, &to, opt.mib, "");
}

static void options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "c:s:a:A:P:l:b:n:w:t:rpL:")) != -1) {
		switch (c) {
		case 'c': opt.client = optarg; break;
		case 's': opt.server = optarg; break;
		case 'a': opt.to = optarg; break;
		case 'A': opt.at = optarg; break;
		case 'P': opt.port = atoi(optarg); break;
		case 'l': opt.size = atoi(optarg); break;
		case 'b': opt.burst = atoi(optarg); break;
		case 'n': opt.packets = atoi(optarg); break;
		case 'w': opt.warmup = atoi(optarg); break;
		case 't': opt.mib = atoi(optarg); break;
		case 'r': opt.rewritten = true; break;
		case 'p': opt.percentiles = true; break;
		case 'L': opt.label = optarg; break;
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (!opt.to)
		opt.to = opt.at;
	if (optind != argc || !opt.client || !opt.server || !opt.at ||
	    !opt.packets || !opt.burst || opt.burst > BURST_MAX ||
	    opt.size < sizeof(struct payload) || opt.size > SIZE_MAX_UDP) {
		fputs(usage, stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	options(argc, argv);
	/* As hops do. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		die("traffic: mlockall");
	if (opt.mib)
		tcp_measure();
	else
		udp_measure();
	return EXIT_SUCCESS;
}
