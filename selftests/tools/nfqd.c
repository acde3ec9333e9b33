// SPDX-License-Identifier: GPL-2.0
/*
 * Accept every packet that a rule sends to an NFQUEUE: what a packet carries
 * through the stack must survive waiting there.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
"usage: nfqd queue [ready file]\n"
"Accepts each packet; SIGUSR1 makes it keep them until SIGUSR2.\n"
"SIGTERM ends it: \"total accepted=N\"\n";

#define HELD_MAX	64

static volatile sig_atomic_t stop, hold;
static unsigned long accepted;
static uint32_t held[HELD_MAX];
static unsigned int held_count;

static struct mnl_socket *nl;
static uint16_t queue;

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static struct nlmsghdr *message(char *buf, unsigned int type)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | type;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(queue);
	return nlh;
}

static void send_message(const struct nlmsghdr *nlh)
{
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		die("nfqd: send");
}

static void configure(void)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nfqnl_msg_config_cmd cmd = { .command = NFQNL_CFG_CMD_BIND };
	struct nfqnl_msg_config_params params = {
		.copy_range	= 0,
		.copy_mode	= NFQNL_COPY_META,
	};
	struct nlmsghdr *nlh = message(buf, NFQNL_MSG_CONFIG);

	mnl_attr_put(nlh, NFQA_CFG_CMD, sizeof(cmd), &cmd);
	mnl_attr_put(nlh, NFQA_CFG_PARAMS, sizeof(params), &params);
	nlh->nlmsg_flags |= NLM_F_ACK;
	send_message(nlh);

	if (mnl_socket_recvfrom(nl, buf, sizeof(buf)) < 0)
		die("nfqd: recv");
	nlh = (struct nlmsghdr *)buf;
	if (nlh->nlmsg_type != NLMSG_ERROR ||
	    ((struct nlmsgerr *)mnl_nlmsg_get_payload(nlh))->error) {
		fprintf(stderr, "nfqd: queue %u refused\n", queue);
		exit(EXIT_FAILURE);
	}
}

static void accept_packet(uint32_t id)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nfqnl_msg_verdict_hdr verdict = {
		.verdict	= htonl(NF_ACCEPT),
		.id		= htonl(id),
	};
	struct nlmsghdr *nlh = message(buf, NFQNL_MSG_VERDICT);

	mnl_attr_put(nlh, NFQA_VERDICT_HDR, sizeof(verdict), &verdict);
	send_message(nlh);
	accepted++;
}

static void accept_held(void)
{
	unsigned int i;

	for (i = 0; i < held_count; i++)
		accept_packet(held[i]);
	held_count = 0;
}

static int on_packet(const struct nlmsghdr *nlh, void *data)
{
	struct nfqnl_msg_packet_hdr *hdr;
	struct nlattr *attr;

	(void)data;
	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) != NFQA_PACKET_HDR)
			continue;
		hdr = mnl_attr_get_payload(attr);
		if (hold && held_count < HELD_MAX) {
			held[held_count++] = ntohl(hdr->packet_id);
			printf("held %u\n", held_count);
		} else {
			accept_packet(ntohl(hdr->packet_id));
		}
	}
	return MNL_CB_OK;
}

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		hold = 1;
	else if (sig == SIGUSR2)
		hold = 0;
	else
		stop = 1;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct timeval timeout = { .tv_usec = 200000 };

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	if (setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &timeout,
		       sizeof(timeout)))
		die("nfqd: SO_RCVTIMEO");
}

static void serve(void)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	ssize_t n = mnl_socket_recvfrom(nl, buf, sizeof(buf));

	if (n < 0 && errno != EINTR && errno != EAGAIN)
		die("nfqd: recv");
	if (n > 0)
		mnl_cb_run(buf, n, 0, 0, on_packet, NULL);
	if (!hold)
		accept_held();
}

int main(int argc, char **argv)
{
	FILE *ready = stdout;

	if (argc < 2 || argc > 3) {
		fputs(usage, stderr);
		return 2;
	}
	queue = atoi(argv[1]);
	setvbuf(stdout, NULL, _IOLBF, 0);

	nl = mnl_socket_open(NETLINK_NETFILTER);
	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		die("nfqd: netlink");
	configure();
	catch_signals();

	if (argc == 3)
		ready = fopen(argv[2], "w");
	if (!ready)
		die(argv[2]);
	fputs("ready\n", ready);
	if (argc == 3)
		fclose(ready);

	while (!stop)
		serve();
	printf("total accepted=%lu\n", accepted);
	return EXIT_SUCCESS;
}
