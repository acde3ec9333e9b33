// SPDX-License-Identifier: GPL-2.0
/*
 * A daemon that reads headers only: packets stay in the kernel meanwhile. At the
 * end it says
 *	total read=N passed=N errors=N gso=N
 * gso: packets that were several segments in one.
 */

#include <errno.h>
#include <linux/divert.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char usage[] =
"usage: holdd [options] port\n"
"  -6        use AF_INET6 sockets\n"
"  -r        many packets in one read and write\n"
"  -b        verdicts only, no bytes\n"
"  -H n      read so many bytes of each packet (128)\n"
"  -t n      set this TTL or hop limit\n";

static struct {
	int		family;
	bool		records;
	bool		bare;
	unsigned int	headers;
	int		ttl;
	uint16_t	port;
} opt = {
	.family		= AF_INET,
	.headers	= 128,
	.ttl		= -1,
};

static struct {
	unsigned long	read;
	unsigned long	passed;
	unsigned long	errors;
	unsigned long	gso;
} total;

static volatile sig_atomic_t stop;

static void __attribute__((__noreturn__)) die(const char *what)
{
	perror(what);
	exit(1);
}

static void change(uint8_t *header)
{
	if (opt.ttl < 0)
		return;
	if (header[0] >> 4 == 6)
		((struct ip6_hdr *)header)->ip6_hlim = opt.ttl;
	else
		((struct ip *)header)->ip_ttl = opt.ttl;
}

static void failed(const char *what)
{
	total.errors++;
	printf("error %s %s\n", what, strerrorname_np(errno));
}

/* One at a time: the address says which packet it is. */
static void serve_one(int fd)
{
	static uint8_t bytes[65536];
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(fd, bytes, sizeof(bytes), 0,
			     (struct sockaddr *)&from, &len);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0)
		die("holdd: recvfrom");
	total.read++;
	change(bytes);
	if (sendto(fd, bytes, opt.bare ? 0 : n, 0, (struct sockaddr *)&from,
		   len) < 0)
		failed("sendto");
	else
		total.passed++;
}

static union {
	struct divert_record	first;
	uint8_t			bytes[1 << 20];
} buffer;

/* The records become their own answers; says how long they are. */
static size_t answer_records(size_t len)
{
	size_t at, end = 0, size;

	for (at = 0; at < len; at += size) {
		struct divert_record *record = (void *)(buffer.bytes + at);

		size = record->len;
		total.read++;
		total.gso += !!(record->flags & DIVERT_INFO_GSO);
		change((uint8_t *)(record + 1));
		if (opt.bare) {
			record->captured = 0;
			record->len = record->size;
		}
		memmove(buffer.bytes + end, record, record->len);
		end += ((struct divert_record *)(buffer.bytes + end))->len;
	}
	return end;
}

static void serve_many(int fd)
{
	ssize_t n = read(fd, buffer.bytes, sizeof(buffer)), done;
	unsigned long before = total.read;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0)
		die("holdd: read");
	n = answer_records(n);
	done = write(fd, buffer.bytes, n);
	if (done == n)
		total.passed += total.read - before;
	else
		failed("write");
}

static int open_socket(void)
{
	struct sockaddr_in6 self = { .sin6_family = opt.family };
	struct timeval timeout = { .tv_usec = 200000 };
	struct divert_hold hold = {
		.size = sizeof(hold), .headers = opt.headers,
	};
	int records = opt.records;
	int fd = socket(opt.family, SOCK_RAW, IPPROTO_DIVERT);

	self.sin6_port = htons(opt.port);
	if (fd < 0)
		die("holdd: socket");
	if (setsockopt(fd, SOL_DIVERT, DIVERT_HOLD, &hold, sizeof(hold)))
		die("holdd: DIVERT_HOLD");
	if (setsockopt(fd, SOL_DIVERT, DIVERT_RECORDS, &records,
		       sizeof(records)))
		die("holdd: DIVERT_RECORDS");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)))
		die("holdd: SO_RCVTIMEO");
	if (bind(fd, (struct sockaddr *)&self, sizeof(self)))
		die("holdd: bind");
	return fd;
}

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static void parse_options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "6rbH:t:")) != -1) {
		switch (c) {
		case '6': opt.family = AF_INET6; break;
		case 'r': opt.records = true; break;
		case 'b': opt.bare = true; break;
		case 'H': opt.headers = atoi(optarg); break;
		case 't': opt.ttl = atoi(optarg); break;
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (optind != argc - 1) {
		fputs(usage, stderr);
		exit(2);
	}
	opt.port = atoi(argv[optind]);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	int fd;

	parse_options(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	fd = open_socket();
	puts("ready");
	while (!stop) {
		if (opt.records)
			serve_many(fd);
		else
			serve_one(fd);
	}
	printf("total read=%lu passed=%lu errors=%lu gso=%lu\n", total.read,
	       total.passed, total.errors, total.gso);
	return 0;
}
