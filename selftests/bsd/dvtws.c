// SPDX-License-Identifier: GPL-2.0
/*
 * usage: dvtws PORT
 * In the manner of dvtws: one socket for IPv4 and IPv6, and another one, never
 * bound, by which each TCP segment with payload is preceded by a fake: a copy
 * with a small TTL and a wrong checksum. Runs as a user of its own. Prefers
 * PF_DIVERT where there is one.
 */

#include <sys/types.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <err.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USER		0x7fffffff
#define FAKE_TTL	33

static int divert_fd, inject_fd;
static unsigned char buf[16384] __attribute__((__aligned__(4)));

static int divert_socket(void)
{
	int fd;

#ifdef PF_DIVERT
	fd = socket(PF_DIVERT, SOCK_RAW, 0);
	if (fd != -1 || (errno != EPROTONOSUPPORT && errno != EAFNOSUPPORT &&
			 errno != EPFNOSUPPORT))
		return fd;
#endif
	fd = socket(PF_INET, SOCK_RAW, IPPROTO_DIVERT);
	if (fd == -1)
		err(1, "socket");
	return fd;
}

static int is_ip6(void)
{
	return buf[0] >> 4 == 6;
}

/* NULL, unless there is payload. */
static struct tcphdr *tcp_with_payload(ssize_t len)
{
	struct ip *ip = (struct ip *)buf;
	struct ip6_hdr *ip6 = (struct ip6_hdr *)buf;
	int hlen = is_ip6() ? (int)sizeof(*ip6) : ip->ip_hl * 4;
	struct tcphdr *tcp = (struct tcphdr *)(buf + hlen);

	if ((is_ip6() ? ip6->ip6_nxt : ip->ip_p) != IPPROTO_TCP)
		return NULL;
	return len > hlen + tcp->th_off * 4 ? tcp : NULL;
}

static void send_fake(const struct tcphdr *tcp, ssize_t len)
{
	static unsigned char fake[sizeof(buf)] __attribute__((__aligned__(4)));
	struct tcphdr *fake_tcp;
	struct sockaddr_in sin;

	memcpy(fake, buf, len);
	fake_tcp = (struct tcphdr *)(fake + ((char *)tcp - (char *)buf));
	fake_tcp->th_sum ^= htons(0xbeaf);
	if (is_ip6())
		((struct ip6_hdr *)fake)->ip6_hlim = FAKE_TTL;
	else
		((struct ip *)fake)->ip_ttl = FAKE_TTL;

	memset(&sin, 0, sizeof(sin));
	sin.sin_family = AF_INET;
	if (sendto(inject_fd, fake, len, 0, (struct sockaddr *)&sin,
		   sizeof(sin)) < 0)
		warn("sendto fake");
	else
		printf("fake %d\n", is_ip6() ? 6 : 4);
}

static int is_fake(void)
{
	return (is_ip6() ? ((struct ip6_hdr *)buf)->ip6_hlim :
			   ((struct ip *)buf)->ip_ttl) == FAKE_TTL;
}

static void handle(void)
{
	struct sockaddr_storage ss;
	socklen_t sslen = sizeof(ss);
	ssize_t rd = recvfrom(divert_fd, buf, sizeof(buf), 0,
			      (struct sockaddr *)&ss, &sslen);
	struct tcphdr *tcp;

	if (rd < 0)
		err(1, "recvfrom");
	if (is_fake())
		printf("again\n");
	tcp = tcp_with_payload(rd);
	if (tcp)
		send_fake(tcp, rd);
	if (sendto(divert_fd, buf, rd, 0, (struct sockaddr *)&ss, sslen) < 0)
		warn("sendto");
}

int main(int argc, char **argv)
{
	struct sockaddr_in bp;
	int size = 65536 * 4;
	fd_set fdset;

	if (argc < 2)
		errx(1, "usage: dvtws PORT");
	setlinebuf(stdout);
	divert_fd = divert_socket();
	bp.sin_family = AF_INET;
	bp.sin_port = htons(atoi(argv[1]));
	bp.sin_addr.s_addr = INADDR_ANY;
	if (bind(divert_fd, (struct sockaddr *)&bp, sizeof(bp)) < 0)
		err(1, "bind");
	inject_fd = divert_socket();
	if (setsockopt(inject_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) ||
	    setsockopt(inject_fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)))
		err(1, "setsockopt");
	if (setgroups(0, NULL) || setgid(USER) || setuid(USER))
		err(1, "setuid");

	for (;;) {
		FD_ZERO(&fdset);
		FD_SET(divert_fd, &fdset);
		if (select(divert_fd + 1, &fdset, NULL, NULL, NULL) < 0) {
			if (errno == EINTR)
				continue;
			err(1, "select");
		}
		if (FD_ISSET(divert_fd, &fdset))
			handle();
	}
}
