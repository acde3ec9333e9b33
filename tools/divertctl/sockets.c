// SPDX-License-Identifier: GPL-2.0
/* Listing sockets, by sock_diag or by /proc. */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netlink.h"
#include "sockets.h"

static struct socket *sockets_add(struct sockets *sockets)
{
	struct socket *socket;

	sockets->at = must_resize(sockets->at,
				  (sockets->n + 1) * sizeof(*sockets->at));
	socket = &sockets->at[sockets->n++];
	*socket = (struct socket){ 0 };
	return socket;
}

void sockets_free(struct sockets *sockets)
{
	for (size_t i = 0; i < sockets->n; i++)
		free(sockets->at[i].owners);
	free(sockets->at);
	*sockets = (struct sockets){ 0 };
}

/* sock_diag */

static void read_memory(struct socket *socket, const struct nlattr *attr)
{
	const uint32_t *memory = mnl_attr_get_payload(attr);

	if (mnl_attr_get_payload_len(attr) <= SK_MEMINFO_DROPS * sizeof(*memory))
		return;
	socket->memory = memory[SK_MEMINFO_RMEM_ALLOC];
	socket->memory_max = memory[SK_MEMINFO_RCVBUF];
	socket->drops = memory[SK_MEMINFO_DROPS];
}

/* A kernel may know more or fewer counters. */
static void read_stats(struct socket *socket, const struct nlattr *attr)
{
	size_t len = mnl_attr_get_payload_len(attr);

	if (len > sizeof(socket->stats))
		len = sizeof(socket->stats);
	memcpy(&socket->stats, mnl_attr_get_payload(attr), len);
	socket->has_stats = true;
}

static int read_attr(const struct nlattr *attr, void *data)
{
	switch (mnl_attr_get_type(attr)) {
	case INET_DIAG_SKMEMINFO:
		read_memory(data, attr);
		break;
	case INET_DIAG_INFO:
		read_stats(data, attr);
		break;
	}
	return MNL_CB_OK;
}

static int read_socket(const struct nlmsghdr *nlh, void *data)
{
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(nlh);
	struct socket *socket = sockets_add(data);

	socket->port = ntohs(msg->id.idiag_sport);
	socket->family = msg->idiag_family;
	socket->inode = msg->idiag_inode;
	socket->uid = msg->idiag_uid;
	socket->cookie = (uint64_t)msg->id.idiag_cookie[1] << 32 |
			 msg->id.idiag_cookie[0];
	mnl_attr_parse(nlh, sizeof(*msg), read_attr, socket);
	return MNL_CB_OK;
}

static void read_again(void *data)
{
	sockets_free(data);
}

/* The field for the protocol has 8 bits, ours 9: an attribute has room. */
static int ask_family(struct mnl_socket *nl, int family,
		      struct sockets *sockets)
{
	struct inet_diag_req_v2 *req;
	char buf[256] = { 0 };
	struct nlmsghdr *nlh;

	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->sdiag_family = family;
	req->idiag_ext = 1 << (INET_DIAG_SKMEMINFO - 1) |
			 1 << (INET_DIAG_INFO - 1);
	req->idiag_states = ~0U;
	mnl_attr_put_u32(nlh, INET_DIAG_REQ_PROTOCOL, IPPROTO_DIVERT);
	return netlink_ask(nl, nlh, read_socket, read_again, sockets);
}

static void sockets_join(struct sockets *sockets, struct sockets *more)
{
	for (size_t i = 0; i < more->n; i++)
		*sockets_add(sockets) = more->at[i];
	free(more->at);
	*more = (struct sockets){ 0 };
}

static int read_diag(struct sockets *sockets, struct error *err)
{
	struct sockets v6 = { 0 };
	struct mnl_socket *nl;
	int ret;

	if (netlink_open(NETLINK_SOCK_DIAG, &nl, err))
		return -1;
	ret = ask_family(nl, AF_INET, sockets) ?:
	      ask_family(nl, AF_INET6, &v6);
	mnl_socket_close(nl);
	if (ret) {
		sockets_free(sockets);
		sockets_free(&v6);
		return fail(err, "sock_diag: %s", strerror(errno));
	}
	sockets_join(sockets, &v6);
	return 0;
}

/* /proc */

static int read_proc(struct sockets *sockets, struct error *err)
{
	FILE *file = fopen("/proc/net/divert", "re");
	struct socket *socket, s = { 0 };
	unsigned long long inode;
	char line[256];

	if (!file)
		return fail(err, "the divert module is not loaded (there is no /proc/net/divert): modprobe divert");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*u: %*8x:%4hx %*8x:%*4x %*2x %*8x:%8x %*2x:%*x %*x %u %*d %llu %*d %*s %u",
			   &s.port, &s.memory, &s.uid, &inode, &s.drops) != 5)
			continue;
		socket = sockets_add(sockets);
		*socket = s;
		socket->inode = inode;
	}
	fclose(file);
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct socket *x = a, *y = b;

	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

int sockets_read(struct sockets *sockets, struct error *err)
{
	struct conf conf;

	*sockets = (struct sockets){ 0 };
	conf_read(&conf);
	if (conf_need_module(&conf, err))
		return -1;
	/* Without that module, sock_diag lists nothing. */
	if ((read_diag(sockets, err) || !sockets->n) &&
	    read_proc(sockets, err))
		return -1;
	if (sockets->n)
		qsort(sockets->at, sockets->n, sizeof(*sockets->at), compare);
	owners_read(sockets);
	return 0;
}

uint64_t socket_waiting(const struct socket *socket)
{
	const struct divert_stats *s = &socket->stats;
	uint64_t gone = s->read + s->unread + s->expired + s->released;

	/* They are counted one after the other, while packets come. */
	return s->diverted > gone ? s->diverted - gone : 0;
}

const char *family_name(int family)
{
	switch (family) {
	case AF_INET:
		return "inet";
	case AF_INET6:
		return "inet6";
	default:
		return "?";
	}
}

const char *user_name(uid_t uid)
{
	const struct passwd *user = getpwuid(uid);
	static char number[16];

	if (user)
		return user->pw_name;
	snprintf(number, sizeof(number), "%u", uid);
	return number;
}

#define FIELD(member, ...) \
	{ #member, offsetof(struct divert_stats, member), __VA_ARGS__ }

const struct stat_field stat_fields[STAT_FIELDS] = {
	FIELD(diverted),
	FIELD(bytes),
	FIELD(teed),
	FIELD(read),
	FIELD(unread, .lost = true),
	FIELD(expired, .lost = true),
	FIELD(released),
	FIELD(passed),
	FIELD(full, .lost = true),
	FIELD(nomem, .lost = true),
	FIELD(inject_in),
	FIELD(inject_out),
	FIELD(congested, .lost = true),
	FIELD(einval, .refused = true),
	FIELD(eafnosupport, .refused = true),
	FIELD(eaddrnotavail, .refused = true),
	FIELD(emsgsize, .refused = true),
	FIELD(eacces, .refused = true),
	FIELD(enetdown, .refused = true),
	FIELD(eunreach, .refused = true),
	FIELD(enobufs, .refused = true),
	FIELD(eother, .refused = true),
	FIELD(held),
	FIELD(held_passed),
	FIELD(held_dropped),
	FIELD(held_lost, .lost = true),
	FIELD(held_released),
	FIELD(estale, .refused = true),
};

uint64_t stat_value(const struct divert_stats *stats,
		    const struct stat_field *field)
{
	uint64_t value;

	memcpy(&value, (const char *)stats + field->offset, sizeof(value));
	return value;
}
