// SPDX-License-Identifier: GPL-2.0
/* Talking to the kernel by libmnl. */

#include <errno.h>
#include <string.h>

#include "netlink.h"

/* As many messages as the kernel puts into one answer */
#define ANSWER_MAX	65536

int netlink_open(int bus, struct mnl_socket **nl, struct error *err)
{
	*nl = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!*nl)
		return fail(err, "netlink: %s", strerror(errno));
	if (!mnl_socket_bind(*nl, 0, MNL_SOCKET_AUTOPID))
		return 0;
	fail(err, "netlink: %s", strerror(errno));
	mnl_socket_close(*nl);
	return -1;
}

static char answer[ANSWER_MAX];

static bool is_end(int len)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)answer;

	for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len))
		if (nlh->nlmsg_type == NLMSG_DONE ||
		    nlh->nlmsg_type == NLMSG_ERROR)
			return true;
	return false;
}

/* Nothing new can be asked before the old answer has been read to its end. */
static int give_up(struct mnl_socket *nl, ssize_t len)
{
	while (!is_end(len)) {
		len = mnl_socket_recvfrom(nl, answer, sizeof(answer));
		if (len < 0)
			return -1;
	}
	errno = EINTR;
	return -1;
}

static int ask_once(struct mnl_socket *nl, struct nlmsghdr *request,
		    mnl_cb_t each, void *data)
{
	unsigned int port = mnl_socket_get_portid(nl);
	ssize_t len;
	int ret;

	if (mnl_socket_sendto(nl, request, request->nlmsg_len) < 0)
		return -1;
	do {
		len = mnl_socket_recvfrom(nl, answer, sizeof(answer));
		if (len < 0)
			return -1;
		ret = mnl_cb_run(answer, len, request->nlmsg_seq, port, each,
				 data);
	} while (ret > MNL_CB_STOP);
	return ret < 0 && errno == EINTR ? give_up(nl, len) : ret;
}

int netlink_ask(struct mnl_socket *nl, struct nlmsghdr *request, mnl_cb_t each,
		void (*restart)(void *data), void *data)
{
	for (int i = 0; i < TRIES; i++) {
		request->nlmsg_seq++;
		if (ask_once(nl, request, each, data) >= 0)
			return 0;
		/* What has changed meanwhile may be there twice, or not. */
		if (errno != EINTR)
			return -1;
		if (restart)
			restart(data);
	}
	return -1;
}
