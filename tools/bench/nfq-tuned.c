// SPDX-License-Identifier: GPL-2.0
/*
 * NFQUEUE as fast as it gets: packets are read unsegmented and many at a time,
 * one verdict passes all up to an id, rewritten packets go back many in a
 * message, their payload gathered from where it was read.
 */

#include <netinet/in.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "hop.h"

#define QUEUE		0
#define QUEUE_LEN	65536
#define SOCKET_BUFFER	(32 << 20)
#define MESSAGE_ROOM	(HOP_PACKET_MAX + 4096)

static struct hop_options opt;
static struct mnl_socket *nl;
static int fd;

/* A verdict that carries a packet: this, the packet, and padding. */
struct rewritten {
	struct nlmsghdr			nlh;
	struct nfgenmsg			nfg;
	struct nlattr			verdict_attr;
	struct nfqnl_msg_verdict_hdr	verdict;
	struct nlattr			payload_attr;
};

static struct {
	uint8_t			data[HOP_BATCH][MESSAGE_ROOM];
	struct iovec		iov[HOP_BATCH];
	struct mmsghdr		msg[HOP_BATCH];
	struct rewritten	head[HOP_BATCH];
	struct iovec		out[3 * HOP_BATCH];
} batch;

static struct nlmsghdr *message(char *buf, unsigned int type)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | type;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(QUEUE);
	return nlh;
}

static void configure(void)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nfqnl_msg_config_cmd cmd = { .command = NFQNL_CFG_CMD_BIND };
	struct nfqnl_msg_config_params params = {
		.copy_range	= htonl(0xffff),
		.copy_mode	= hop_mode(&opt, "meta") ? NFQNL_COPY_META :
							   NFQNL_COPY_PACKET,
	};
	struct nlmsghdr *nlh = message(buf, NFQNL_MSG_CONFIG);

	mnl_attr_put(nlh, NFQA_CFG_CMD, sizeof(cmd), &cmd);
	mnl_attr_put(nlh, NFQA_CFG_PARAMS, sizeof(params), &params);
	mnl_attr_put_u32(nlh, NFQA_CFG_QUEUE_MAXLEN, htonl(QUEUE_LEN));
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO));
	nlh->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		die("configure");

	if (mnl_socket_recvfrom(nl, buf, sizeof(buf)) < 0)
		die("configure");
	nlh = (struct nlmsghdr *)buf;
	errno = -((struct nlmsgerr *)mnl_nlmsg_get_payload(nlh))->error;
	if (nlh->nlmsg_type != NLMSG_ERROR || errno)
		die("queue 0");
}

static void queue_open(void)
{
	int one = 1;

	nl = mnl_socket_open(NETLINK_NETFILTER);
	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		unavailable("netlink");
	fd = mnl_socket_get_fd(nl);
	configure();
	socket_buffers(fd, SOCKET_BUFFER);
	mnl_socket_setsockopt(nl, NETLINK_NO_ENOBUFS, &one, sizeof(one));
}

static void batch_init(void)
{
	unsigned int i;

	for (i = 0; i < HOP_BATCH; i++) {
		batch.iov[i].iov_base = batch.data[i];
		batch.iov[i].iov_len = MESSAGE_ROOM;
		batch.msg[i].msg_hdr.msg_iov = &batch.iov[i];
		batch.msg[i].msg_hdr.msg_iovlen = 1;
	}
}

struct packet {
	uint32_t	id;	/* in network order */
	void		*data;
	size_t		len;
};

static void packet_parse(const void *message, struct packet *packet)
{
	const struct nlmsghdr *nlh = message;
	struct nlattr *attr;

	memset(packet, 0, sizeof(*packet));
	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) == NFQA_PACKET_HDR) {
			const struct nfqnl_msg_packet_hdr *hdr =
				mnl_attr_get_payload(attr);

			packet->id = hdr->packet_id;
		} else if (mnl_attr_get_type(attr) == NFQA_PAYLOAD) {
			packet->data = mnl_attr_get_payload(attr);
			packet->len = mnl_attr_get_payload_len(attr);
		}
	}
}

/* One verdict passes all packets up to this one. */
static void accept_up_to(uint32_t id)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nfqnl_msg_verdict_hdr verdict = {
		.verdict	= htonl(NF_ACCEPT),
		.id		= id,
	};
	struct nlmsghdr *nlh = message(buf, NFQNL_MSG_VERDICT_BATCH);

	mnl_attr_put(nlh, NFQA_VERDICT_HDR, sizeof(verdict), &verdict);
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		die("verdict");
}

/* Its three parts go to iov; a packet that stays as it is needs the first one
 * only, without the attribute for it. What never changes is there already.
 */
static void rewritten_put(struct rewritten *head, const struct packet *packet,
			  bool changed, struct iovec *iov)
{
	static const uint32_t padding;
	size_t len = changed ? packet->len : 0, padded = MNL_ALIGN(len);
	size_t header = changed ? sizeof(*head) :
				  offsetof(struct rewritten, payload_attr);

	head->nlh.nlmsg_len = header + padded;
	head->verdict.id = packet->id;
	head->payload_attr.nla_len = sizeof(struct nlattr) + len;
	iov[0].iov_base = head;
	iov[0].iov_len = header;
	iov[1].iov_base = packet->data;
	iov[1].iov_len = len;
	iov[2].iov_base = (void *)&padding;
	iov[2].iov_len = padded - len;
}

static void rewritten_init(struct rewritten *head)
{
	*head = (struct rewritten) {
		.nlh = {
			.nlmsg_type	= NFNL_SUBSYS_QUEUE << 8 |
					  NFQNL_MSG_VERDICT,
			.nlmsg_flags	= NLM_F_REQUEST,
		},
		.nfg = {
			.version	= NFNETLINK_V0,
			.res_id		= htons(QUEUE),
		},
		.verdict_attr = {
			.nla_type	= NFQA_VERDICT_HDR,
			.nla_len	= sizeof(struct nlattr) +
					  sizeof(head->verdict),
		},
		.verdict.verdict	= htonl(NF_ACCEPT),
		.payload_attr.nla_type	= NFQA_PAYLOAD,
	};
}

static void send_rewritten(unsigned int n)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct msghdr hdr = {
		.msg_name	= &kernel,
		.msg_namelen	= sizeof(kernel),
		.msg_iov	= batch.out,
		.msg_iovlen	= 3 * n,
	};

	if (sendmsg(fd, &hdr, 0) < 0)
		die("verdicts");
}

static void rewrite_all(unsigned int n)
{
	struct packet packet;
	unsigned int i;
	bool changed;

	for (i = 0; i < n; i++) {
		packet_parse(batch.data[i], &packet);
		changed = packet_rewrite(packet.data, packet.len);
		rewritten_put(&batch.head[i], &packet, changed,
			      &batch.out[3 * i]);
	}
	send_rewritten(n);
}

static void accept_all(unsigned int n)
{
	struct packet packet;
	unsigned int i;

	for (i = 0; i < n; i++)
		packet_parse(batch.data[i], &packet);
	accept_up_to(packet.id);
}

int main(int argc, char **argv)
{
	unsigned int i;
	int n;

	hop_options(&opt, argc, argv, "meta (read headers only)");
	queue_open();
	batch_init();
	for (i = 0; i < HOP_BATCH; i++)
		rewritten_init(&batch.head[i]);
	hop_ready();

	while ((n = recvmmsg(fd, batch.msg, HOP_BATCH, MSG_WAITFORONE,
			     NULL)) >= 0) {
		if (opt.rewrite)
			rewrite_all(n);
		else
			accept_all(n);
	}
	die("recvmmsg");
}
