// SPDX-License-Identifier: GPL-2.0
/*
 * usage: daq PORT BLOCKED
 * In the manner of libdaq's divert module under an inline engine: the socket is
 * made long before it is bound, waits are slices of a second, each write is of
 * sizeof(struct sockaddr_in), any error ends it. TCP connections to port
 * BLOCKED are reset on both sides, by packets that are forged and injected with
 * the address of the packet they answer.
 */

#include <sys/types.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SNAPLEN		IP_MAXPACKET

struct reset {
	struct ip ip;
	struct tcphdr tcp;
};

static int sock = -1;
static struct sockaddr_in sin;
static unsigned char buf[SNAPLEN] __attribute__((__aligned__(4)));

static u_long add(u_long sum, const void *data, int len)
{
	const u_short *p = data;

	for (; len > 1; len -= 2)
		sum += *p++;
	return sum;
}

static u_short fold(u_long sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void forward(const void *data, int len)
{
	int status = sendto(sock, data, len, 0, (struct sockaddr *)&sin,
			    sizeof(sin));

	if (status != len)
		err(1, "can't send to divert socket: %d of %d", status, len);
}

static void make_reset(struct reset *reset, struct in_addr src,
		       struct in_addr dst, u_short sport, u_short dport,
		       tcp_seq seq, tcp_seq ack)
{
	memset(reset, 0, sizeof(*reset));
	reset->tcp.th_sport = sport;
	reset->tcp.th_dport = dport;
	reset->tcp.th_seq = htonl(seq);
	reset->tcp.th_ack = htonl(ack);
	reset->tcp.th_off = 5;
	reset->tcp.th_flags = TH_RST | TH_ACK;
	reset->ip.ip_src = src;
	reset->ip.ip_dst = dst;
	/* The pseudo header is made of what is there so far. */
	reset->tcp.th_sum = fold(add(htons(IPPROTO_TCP) + htons(20), reset,
				     sizeof(*reset)));
	reset->ip.ip_v = 4;
	reset->ip.ip_hl = 5;
	reset->ip.ip_ttl = 64;
	reset->ip.ip_p = IPPROTO_TCP;
	reset->ip.ip_len = htons(sizeof(*reset));
	reset->ip.ip_sum = fold(add(0, &reset->ip, sizeof(reset->ip)));
}

/* The one who sent it gets an answer out of the blue, the other one a reset. */
static void block(const struct ip *ip, const struct tcphdr *tcp)
{
	tcp_seq next = ntohl(tcp->th_seq) + !!(tcp->th_flags & TH_SYN);
	struct sockaddr_in saved = sin;
	struct reset reset;

	make_reset(&reset, ip->ip_src, ip->ip_dst, tcp->th_sport, tcp->th_dport,
		   ntohl(tcp->th_seq), ntohl(tcp->th_ack));
	forward(&reset, sizeof(reset));

	make_reset(&reset, ip->ip_dst, ip->ip_src, tcp->th_dport, tcp->th_sport,
		   ntohl(tcp->th_ack), next);
	sin.sin_addr.s_addr = INADDR_ANY;
	forward(&reset, sizeof(reset));
	sin = saved;
	printf("blocked\n");
}

static void acquire(int blocked)
{
	const struct ip *ip = (struct ip *)buf;
	const struct tcphdr *tcp;
	socklen_t len = sizeof(sin);
	ssize_t n;

	n = recvfrom(sock, buf, sizeof(buf), 0, (struct sockaddr *)&sin, &len);
	if (n < 0) {
		if (errno != EINTR)
			err(1, "can't receive from divert socket");
		return;
	}
	tcp = (struct tcphdr *)(buf + ip->ip_hl * 4);
	if (ip->ip_p == IPPROTO_TCP && tcp->th_dport == htons(blocked))
		block(ip, tcp);
	else
		forward(buf, n);
}

int main(int argc, char **argv)
{
	int port = argc > 1 ? atoi(argv[1]) : 8000;
	int blocked = argc > 2 ? atoi(argv[2]) : 81;
	struct timeval tv;
	fd_set fdset;

	setlinebuf(stdout);
	sock = socket(PF_INET, SOCK_RAW, IPPROTO_DIVERT);
	if (sock == -1)
		err(1, "can't create divert socket");

	/* What an engine does meanwhile is told to it by the test. */
	printf("initialized\n");
	while (getchar() != '\n')
		;

	sin.sin_family = PF_INET;
	sin.sin_addr.s_addr = INADDR_ANY;
	sin.sin_port = htons(port);
	if (bind(sock, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		err(1, "can't bind divert socket");
	for (;;) {
		FD_ZERO(&fdset);
		FD_SET(sock, &fdset);
		tv.tv_sec = 1;
		tv.tv_usec = 0;
		if (select(sock + 1, &fdset, NULL, NULL, &tv) > 0)
			acquire(blocked);
	}
}
