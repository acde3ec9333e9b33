// SPDX-License-Identifier: GPL-2.0
/* Are our hooks where they belong? Linux lists hooks since 5.14, if it is built
 * with CONFIG_NETFILTER_NETLINK_HOOK.
 */

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_hook.h>
#include <string.h>

#include "doctor.h"
#include "netlink.h"

static int read_attr(const struct nlattr *attr, void *data)
{
	bool *ours = data;

	if (mnl_attr_get_type(attr) == NFNLA_HOOK_MODULE_NAME &&
	    !strcmp(mnl_attr_get_str(attr), "divert"))
		*ours = true;
	return MNL_CB_OK;
}

static int read_hook(const struct nlmsghdr *nlh, void *data)
{
	mnl_attr_parse(nlh, sizeof(struct nfgenmsg), read_attr, data);
	return MNL_CB_OK;
}

/* 1: our hook is there, 0: it is not, -1 with errno */
static int has_hook(struct mnl_socket *nl, int family, uint32_t hook)
{
	struct nfgenmsg *nfg;
	char buf[256] = { 0 };
	struct nlmsghdr *nlh;
	bool ours = false;

	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = NFNL_SUBSYS_HOOK << 8 | NFNL_MSG_HOOK_GET;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	mnl_attr_put_u32(nlh, NFNLA_HOOK_HOOKNUM, htonl(hook));
	if (netlink_ask(nl, nlh, read_hook, NULL, &ours))
		return -1;
	return ours;
}

/* How many of the six are there; -1 if the kernel does not tell */
static int count_hooks(struct mnl_socket *nl)
{
	static const uint32_t hooks[] = {
		NF_INET_PRE_ROUTING, NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING,
	};
	int n = 0, one;

	for (size_t i = 0; i < 2 * ARRAY_LEN(hooks); i++) {
		one = has_hook(nl, i % 2 ? NFPROTO_IPV6 : NFPROTO_IPV4,
			       hooks[i / 2]);
		if (one < 0)
			return -1;
		n += one;
	}
	return n;
}

/* The kernel does not tell, but a socket has brought them. */
static void guess_hooks(const struct diagnosis *d)
{
	if (d->sockets.n)
		found(GOOD, "hooks", "in place, as there are divert sockets; this kernel does not list hooks");
	else
		found(NOTE, "hooks", "this kernel does not list hooks; ours come with the first divert socket, or with sysctl net.divert.no_listener=drop");
}

void examine_hooks(const struct diagnosis *d)
{
	struct mnl_socket *nl;
	struct error err;
	int n;

	if (netlink_open(NETLINK_NETFILTER, &nl, &err)) {
		found(NOTE, "hooks", "%s", err.text);
		return;
	}
	n = count_hooks(nl);
	mnl_socket_close(nl);
	if (n < 0)
		guess_hooks(d);
	else if (n == 6)
		found(GOOD, "hooks", "in place for IPv4 and IPv6");
	else if (n)
		found(PROBLEM, "hooks", "%d of 6 are there: load the module anew",
		      n);
	else
		found(d->table.n ? PROBLEM : NOTE, "hooks", "not there yet: they come with the first divert socket, or with sysctl net.divert.no_listener=drop");
}
