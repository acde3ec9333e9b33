// SPDX-License-Identifier: GPL-2.0
/*
 * NFQUEUE as textbooks use it: libnetfilter_queue, a verdict for each packet.
 */

#include <errno.h>
#include <netinet/in.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "hop.h"

#define SOCKET_BUFFER	(4 << 20)

static struct hop_options opt;

static int on_packet(struct nfq_q_handle *queue, struct nfgenmsg *msg,
		     struct nfq_data *data, void *arg)
{
	struct nfqnl_msg_packet_hdr *hdr = nfq_get_msg_packet_hdr(data);
	uint32_t id = ntohl(hdr->packet_id);
	unsigned char *packet;
	int len;

	(void)msg;
	(void)arg;
	len = nfq_get_payload(data, &packet);
	if (!opt.rewrite || len < 0 || !packet_rewrite(packet, len))
		return nfq_set_verdict(queue, id, NF_ACCEPT, 0, NULL);
	return nfq_set_verdict(queue, id, NF_ACCEPT, len, packet);
}

int main(int argc, char **argv)
{
	static char buf[HOP_PACKET_MAX + 4096];
	struct nfq_handle *handle = nfq_open();
	struct nfq_q_handle *queue;
	int n;

	hop_options(&opt, argc, argv, "none");
	if (!handle)
		unavailable("NFQUEUE");
	queue = nfq_create_queue(handle, 0, on_packet, NULL);
	if (!queue)
		unavailable("queue 0");
	if (nfq_set_mode(queue, NFQNL_COPY_PACKET, 0xffff) < 0)
		die("nfq_set_mode");
	socket_buffers(nfq_fd(handle), SOCKET_BUFFER);
	hop_ready();

	for (;;) {
		n = recv(nfq_fd(handle), buf, sizeof(buf), 0);
		/* ENOBUFS: packets were lost. */
		if (n < 0 && errno != ENOBUFS)
			die("recv");
		if (n > 0)
			nfq_handle_packet(handle, buf, n);
	}
}
