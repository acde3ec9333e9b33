// SPDX-License-Identifier: GPL-2.0
/*
 * usage: natd PORT INSIDE ALIAS [GROW]
 * In the manner of natd: an address translator for one inside host. It waits by
 * select(), tells the direction by INADDR_ANY, hands back the address as it was
 * read, and answers EMSGSIZE with an ICMP error of its own. With GROW, packets
 * on their way out get so many bytes of IP options.
 */

#include <sys/types.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int divert_fd, icmp_fd;
static struct in_addr inside, alias;
static int grow;
static unsigned char buf[IP_MAXPACKET] __attribute__((__aligned__(4)));

static u_short cksum(const void *data, int len)
{
	const unsigned char *p = data;
	u_long sum = 0;

	for (; len > 1; p += 2, len -= 2)
		sum += p[0] << 8 | p[1];
	if (len)
		sum += p[0] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

/* Of TCP, UDP: corrected for an address that changes. */
static void fix_cksum(struct ip *ip, struct in_addr from, struct in_addr to)
{
	int at = ip->ip_p == IPPROTO_TCP ? 16 : ip->ip_p == IPPROTO_UDP ? 6 : 0;
	u_short *sum = (u_short *)((char *)ip + ip->ip_hl * 4 + at);
	u_long total;

	if (!at)
		return;
	total = (u_short)~*sum;
	total += (u_short)~(from.s_addr >> 16) + (u_short)~from.s_addr;
	total += (to.s_addr >> 16) + (u_short)to.s_addr;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	*sum = ~total;
}

static void translate(struct ip *ip, int out)
{
	if (out && ip->ip_src.s_addr == inside.s_addr) {
		fix_cksum(ip, ip->ip_src, alias);
		ip->ip_src = alias;
	} else if (!out && ip->ip_dst.s_addr == alias.s_addr) {
		fix_cksum(ip, ip->ip_dst, inside);
		ip->ip_dst = inside;
	}
	ip->ip_sum = 0;
	ip->ip_sum = cksum(ip, ip->ip_hl * 4);
}

static void add_options(struct ip *ip)
{
	int hlen = ip->ip_hl * 4, len = ntohs(ip->ip_len);

	memmove(buf + hlen + grow, buf + hlen, len - hlen);
	memset(buf + hlen, IPOPT_NOP, grow);
	ip->ip_hl += grow / 4;
	ip->ip_len = htons(len + grow);
	ip->ip_sum = 0;
	ip->ip_sum = cksum(ip, ip->ip_hl * 4);
}

static void send_need_frag(const struct ip *failed)
{
	struct {
		struct icmp icmp;
		char more[IP_MAXPACKET];
	} error;
	int quote = failed->ip_hl * 4 + 8;
	struct sockaddr_in to;

	memset(&error, 0, sizeof(error));
	error.icmp.icmp_type = ICMP_UNREACH;
	error.icmp.icmp_code = ICMP_UNREACH_NEEDFRAG;
	error.icmp.icmp_nextmtu = htons(1400);
	memcpy(&error.icmp.icmp_ip, failed, quote);
	error.icmp.icmp_ip.ip_src = inside;
	error.icmp.icmp_cksum = cksum(&error, 8 + quote);

	memset(&to, 0, sizeof(to));
	to.sin_family = AF_INET;
	to.sin_addr = inside;
	if (sendto(icmp_fd, &error, 8 + quote, 0, (struct sockaddr *)&to,
		   sizeof(to)) < 0)
		warn("icmp");
	printf("need frag\n");
}

static void do_packet(void)
{
	struct ip *ip = (struct ip *)buf;
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	int n, out;

	n = recvfrom(divert_fd, buf, sizeof(buf), 0, (struct sockaddr *)&addr,
		     &len);
	if (n == -1) {
		if (errno != EINTR)
			warn("read from divert socket failed");
		return;
	}

	out = addr.sin_addr.s_addr == INADDR_ANY;
	translate(ip, out);
	if (out && grow)
		add_options(ip);
	n = ntohs(ip->ip_len);
	if (sendto(divert_fd, buf, n, 0, (struct sockaddr *)&addr,
		   sizeof(addr)) == n)
		return;
	if (errno == EMSGSIZE)
		send_need_frag(ip);
	else if (errno == EACCES)
		warn("failed to write packet back");
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr;
	fd_set read_fds;

	if (argc < 4)
		errx(1, "usage: natd PORT INSIDE ALIAS [GROW]");
	inet_aton(argv[2], &inside);
	inet_aton(argv[3], &alias);
	grow = argc > 4 ? atoi(argv[4]) : 0;
	setlinebuf(stdout);

	divert_fd = socket(PF_INET, SOCK_RAW, IPPROTO_DIVERT);
	if (divert_fd == -1)
		errx(1, "unable to create divert socket");
	icmp_fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	/* As natd leaves it: garbage. */
	memset(&addr, 0xa5, sizeof(addr));
	addr.sin_family = AF_INET;
	addr.sin_addr.s_addr = INADDR_ANY;
	addr.sin_port = htons(atoi(argv[1]));
	if (bind(divert_fd, (struct sockaddr *)&addr, sizeof(addr)) == -1)
		err(1, "unable to bind divert socket");

	for (;;) {
		FD_ZERO(&read_fds);
		FD_SET(divert_fd, &read_fds);
		if (select(divert_fd + 1, &read_fds, NULL, NULL, NULL) == -1)
			continue;
		if (FD_ISSET(divert_fd, &read_fds))
			do_packet();
	}
}
