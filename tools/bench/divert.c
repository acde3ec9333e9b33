// SPDX-License-Identifier: GPL-2.0
/*
 * A divert socket that passes on all it reads.
 */

#include <errno.h>
#include <linux/divert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "hop.h"

#define DIVERT_PORT	7000	/* as in the rules of the script */

static struct hop_options opt;
static int fd;

static void divert_open(void)
{
	struct sockaddr_in sa = {
		.sin_family	= AF_INET,
		.sin_port	= htons(DIVERT_PORT),
	};
	int version;
	socklen_t len = sizeof(version);

	fd = socket(AF_INET, SOCK_RAW, IPPROTO_DIVERT);
	if (fd < 0)
		unavailable("divert socket");
	if (getsockopt(fd, SOL_DIVERT, DIVERT_VERSION, &version, &len))
		unavailable("divert.ko is not loaded");
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)))
		die("bind");
}

/* As textbooks do it. */
static void serve_one(void)
{
	static uint8_t packet[HOP_PACKET_MAX];
	struct sockaddr_in sa;
	socklen_t len;
	ssize_t n;

	for (;;) {
		len = sizeof(sa);
		n = recvfrom(fd, packet, sizeof(packet), 0,
			     (struct sockaddr *)&sa, &len);
		if (n < 0)
			die("recvfrom");
		if (opt.rewrite)
			packet_rewrite(packet, n);
		if (sendto(fd, packet, n, 0, (struct sockaddr *)&sa, len) < 0)
			die("sendto");
	}
}

static struct {
	uint8_t			packet[HOP_BATCH][HOP_PACKET_MAX];
	struct sockaddr_in	sa[HOP_BATCH];
	struct iovec		iov[HOP_BATCH];
	struct mmsghdr		msg[HOP_BATCH];
} batch;

static void batch_arm(unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		batch.iov[i].iov_len = HOP_PACKET_MAX;
		batch.msg[i].msg_hdr.msg_namelen = sizeof(batch.sa[i]);
	}
}

static void batch_init(void)
{
	struct msghdr *hdr;
	unsigned int i;

	for (i = 0; i < HOP_BATCH; i++) {
		hdr = &batch.msg[i].msg_hdr;
		batch.iov[i].iov_base = batch.packet[i];
		hdr->msg_iov = &batch.iov[i];
		hdr->msg_iovlen = 1;
		hdr->msg_name = &batch.sa[i];
	}
	batch_arm(HOP_BATCH);
}

static void batch_send(unsigned int n)
{
	unsigned int i;
	int sent;

	for (i = 0; i < n; i += sent) {
		sent = sendmmsg(fd, batch.msg + i, n - i, 0);
		if (sent < 0)
			die("sendmmsg");
	}
}

/* By recvmmsg and sendmmsg. */
static void serve_batches(void)
{
	int i, n;

	batch_init();
	for (;;) {
		n = recvmmsg(fd, batch.msg, HOP_BATCH, MSG_WAITFORONE, NULL);
		if (n < 0)
			die("recvmmsg");
		for (i = 0; i < n; i++) {
			batch.iov[i].iov_len = batch.msg[i].msg_len;
			if (opt.rewrite)
				packet_rewrite(batch.packet[i],
					       batch.msg[i].msg_len);
		}
		batch_send(n);
		batch_arm(n);
	}
}

int main(int argc, char **argv)
{
	hop_options(&opt, argc, argv, "one (by recvfrom and sendto), batch");
	divert_open();
	hop_ready(&opt);
	if (hop_mode(&opt, "one"))
		serve_one();
	else
		serve_batches();
	return EXIT_SUCCESS;
}
