// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * divert-tap: watch a divert port. Prints copies of what is diverted there and
 * what the kernel knows of them; the packets go on without it.
 */

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/divert.h>

struct copy {
	unsigned char data[65575];
	size_t len;
	struct divert_info info;
	struct timespec time;	/* when it was diverted */
};

static void set(int fd, int level, int name, const char *what)
{
	int on = 1;

	if (setsockopt(fd, level, name, &on, sizeof(on)))
		err(1, "%s", what);
}

static int open_tap(unsigned short port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
	};
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_DIVERT);

	if (fd < 0)
		err(1, "socket");
	/* Before bind(): afterwards it is too late. Fails without the module. */
	set(fd, SOL_DIVERT, DIVERT_TEE, "DIVERT_TEE (is the module loaded?)");
	set(fd, SOL_DIVERT, DIVERT_INFO, "DIVERT_INFO");
	set(fd, SOL_SOCKET, SO_TIMESTAMPNS, "SO_TIMESTAMPNS");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		err(1, "bind to port %u", port);
	return fd;
}

static void receive(int fd, struct copy *copy)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(copy->info)) +
			   CMSG_SPACE(sizeof(copy->time))];
	} control;
	struct iovec iov = { copy->data, sizeof(copy->data) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	ssize_t n;

	do {
		n = recvmsg(fd, &msg, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		err(1, "recvmsg");

	copy->len = n;
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level == SOL_DIVERT && c->cmsg_type == DIVERT_INFO)
			memcpy(&copy->info, CMSG_DATA(c), sizeof(copy->info));
		if (c->cmsg_level == SOL_SOCKET &&
		    c->cmsg_type == SO_TIMESTAMPNS)
			memcpy(&copy->time, CMSG_DATA(c), sizeof(copy->time));
	}
}

static void print(const struct copy *copy)
{
	const struct divert_info *info = &copy->info;
	/* The kernel gives whole packets only: the addresses are there. */
	size_t at = info->family == AF_INET6 ? 8 : 12;
	size_t len = info->family == AF_INET6 ? 16 : 4;
	char text[INET6_ADDRSTRLEN], oif[IF_NAMESIZE];
	struct tm tm;

	localtime_r(&copy->time.tv_sec, &tm);
	strftime(text, sizeof(text), "%T", &tm);
	printf("%s.%06ld", text, copy->time.tv_nsec / 1000);

	printf(" from %s", info->iif ? info->ifname : "here");
	if (info->oif)
		printf(" to %s", if_indextoname(info->oif, oif) ?: "gone");
	if (info->flags & DIVERT_INFO_SENDER)
		printf(" uid %u", info->uid);
	printf(" cookie %u", info->cookie);

	inet_ntop(info->family, copy->data + at, text, sizeof(text));
	printf("  %s > ", text);
	inet_ntop(info->family, copy->data + at + len, text, sizeof(text));
	printf("%s %zu bytes\n", text, copy->len);
}

int main(int argc, char **argv)
{
	static struct copy copy;
	long port = argc == 2 ? atol(argv[1]) : 0;
	int fd;

	if (port < 1 || port > 65534)
		errx(2, "usage: divert-tap PORT");

	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = open_tap(port);
	for (;;) {
		receive(fd, &copy);
		print(&copy);
	}
}
