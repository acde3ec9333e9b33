// SPDX-License-Identifier: GPL-2.0
/*
 * A UDP relay by recvmmsg and sendmmsg: two socket crossings, the floor of any
 * hop that copies packets to user space and back.
 */

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "hop.h"

static struct hop_options opt;

static struct {
	uint8_t		data[HOP_BATCH][HOP_PACKET_MAX];
	struct iovec	iov[HOP_BATCH];
	struct mmsghdr	msg[HOP_BATCH];
} batch;

static int udp_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0)
		die("socket");
	socket_buffers(fd, 4 << 20);
	return fd;
}

static void batch_init(void)
{
	unsigned int i;

	for (i = 0; i < HOP_BATCH; i++) {
		batch.iov[i].iov_base = batch.data[i];
		batch.iov[i].iov_len = HOP_PACKET_MAX;
		batch.msg[i].msg_hdr.msg_iov = &batch.iov[i];
		batch.msg[i].msg_hdr.msg_iovlen = 1;
	}
}

static void batch_send(int fd, unsigned int n)
{
	unsigned int i;
	int sent;

	for (i = 0; i < n; i++) {
		batch.iov[i].iov_len = batch.msg[i].msg_len;
		if (opt.rewrite)
			batch.data[i][0] = BENCH_REWRITTEN;
	}
	for (i = 0; i < n; i += sent) {
		sent = sendmmsg(fd, batch.msg + i, n - i, 0);
		if (sent < 0)
			die("sendmmsg");
	}
	for (i = 0; i < n; i++)
		batch.iov[i].iov_len = HOP_PACKET_MAX;
}

int main(int argc, char **argv)
{
	struct sockaddr_in here = {
		.sin_family	= AF_INET,
		.sin_port	= htons(BENCH_PORT),
	}, there = here;
	int rx, tx, n;

	/* The mode is the address to send to. */
	hop_options(&opt, argc, argv, "address of the server");
	if (!opt.mode || !inet_aton(opt.mode, &there.sin_addr))
		die("address of the server (-m)");
	rx = udp_socket();
	tx = udp_socket();
	if (bind(rx, (struct sockaddr *)&here, sizeof(here)))
		die("bind");
	if (connect(tx, (struct sockaddr *)&there, sizeof(there)))
		die("connect");
	batch_init();
	hop_ready();

	while ((n = recvmmsg(rx, batch.msg, HOP_BATCH, MSG_WAITFORONE,
			     NULL)) >= 0)
		batch_send(tx, n);
	die("recvmmsg");
}
