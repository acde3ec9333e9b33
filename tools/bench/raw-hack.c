// SPDX-License-Identifier: GPL-2.0
/*
 * What is done where divert sockets lack: a packet socket reads copies of what
 * nft drops, a raw socket sends them.
 */

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "hop.h"

static struct hop_options opt;

static int packet_socket(const char *dev)
{
	struct sockaddr_ll sa = {
		.sll_family	= AF_PACKET,
		.sll_protocol	= htons(ETH_P_IP),
		.sll_ifindex	= if_nametoindex(dev),
	};
	int fd = socket(AF_PACKET, SOCK_DGRAM, 0);

	if (fd < 0)
		unavailable("packet socket");
	socket_buffers(fd, 4 << 20);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)))
		die("bind");
	return fd;
}

int main(int argc, char **argv)
{
	static uint8_t packet[HOP_PACKET_MAX];
	struct sockaddr_in to = { .sin_family = AF_INET };
	int rx, tx;
	ssize_t n;

	hop_options(&opt, argc, argv, "device to read from");
	if (!opt.mode)
		die("device to read from (-m)");
	rx = packet_socket(opt.mode);
	tx = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	if (tx < 0)
		unavailable("raw socket");
	hop_ready();

	while ((n = recv(rx, packet, sizeof(packet), 0)) >= 0) {
		/* The sender may have left the checksum to its device. */
		if (opt.rewrite)
			packet_change(packet, n);
		packet_checksum(packet, n);
		to.sin_addr = ((struct ip *)packet)->ip_dst;
		if (sendto(tx, packet, n, 0, (struct sockaddr *)&to,
			   sizeof(to)) < 0)
			die("sendto");
	}
	die("recv");
}
