// SPDX-License-Identifier: GPL-2.0
/*
 * usage: tcpcrypt PORT
 * In the manner of tcpcrypt: it drops its privileges and its root once it is
 * bound, reads into 2048 bytes, and ends at any error, short count or packet
 * that does not look whole.
 */

#include <sys/types.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <err.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOBODY	65534

static int open_divert(int port)
{
	int s = socket(PF_INET, SOCK_RAW, IPPROTO_DIVERT);
	struct sockaddr_in s_in;

	if (s == -1)
		err(1, "socket()");
	memset(&s_in, 0, sizeof(s_in));
	s_in.sin_family = PF_INET;
	s_in.sin_port = htons(port);
	if (bind(s, (struct sockaddr *)&s_in, sizeof(s_in)) == -1)
		err(1, "bind()");
	return s;
}

static void drop_privileges(void)
{
	if (chroot("/var") == -1 || chdir("/") == -1)
		err(1, "chroot()");
	if (setgroups(0, NULL) == -1 || setgid(NOBODY) == -1 ||
	    setuid(NOBODY) == -1)
		err(1, "setuid()");
	if (setuid(0) == 0)
		errx(1, "still root");
}

static void next_packet(int s)
{
	static unsigned char data[2048] __attribute__((__aligned__(4)));
	static unsigned long in, out;
	struct ip *ip = (struct ip *)data;
	struct sockaddr_in s_in;
	socklen_t len = sizeof(s_in);
	int rc, size;

	rc = recvfrom(s, data, sizeof(data), 0, (struct sockaddr *)&s_in, &len);
	if (rc == -1)
		err(1, "recvfrom()");
	if (rc == 0)
		errx(1, "EOF");
	size = ntohs(ip->ip_len);
	if (rc != size || ip->ip_p != IPPROTO_TCP)
		errx(1, "%d bytes of %d", rc, size);

	if (s_in.sin_addr.s_addr != INADDR_ANY)
		in++;
	else
		out++;
	if ((in + out) % 100 == 0)
		printf("in %lu out %lu\n", in, out);

	rc = sendto(s, data, size, 0, (struct sockaddr *)&s_in, sizeof(s_in));
	if (rc == -1)
		err(1, "sendto()");
	if (rc != size)
		errx(1, "short write %d/%d", rc, size);
}

int main(int argc, char **argv)
{
	int s;

	setlinebuf(stdout);
	s = open_divert(argc > 1 ? atoi(argv[1]) : 666);
	drop_privileges();
	for (;;)
		next_packet(s);
}
