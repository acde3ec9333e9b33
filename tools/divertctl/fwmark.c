// SPDX-License-Identifier: GPL-2.0
/* Rules of routing ("ip rule fwmark") that look at bits of ours. */

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "doctor.h"
#include "netlink.h"

struct routing_rule {
	uint32_t mark, mask, priority;
	bool marked;
};

static int read_attr(const struct nlattr *attr, void *data)
{
	struct routing_rule *rule = data;

	switch (mnl_attr_get_type(attr)) {
	case FRA_FWMARK:
		rule->mark = mnl_attr_get_u32(attr);
		rule->marked = true;
		break;
	case FRA_FWMASK:
		rule->mask = mnl_attr_get_u32(attr);
		break;
	case FRA_PRIORITY:
		rule->priority = mnl_attr_get_u32(attr);
		break;
	}
	return MNL_CB_OK;
}

/* Our bits are in a mark from the rule that sets them to the divert hook, and
 * from a write to the end of the stage: when a sent packet is routed again.
 */
static int read_rule(const struct nlmsghdr *nlh, void *data)
{
	const struct fib_rule_hdr *frh = mnl_nlmsg_get_payload(nlh);
	struct routing_rule rule = { .mask = UINT32_MAX };
	const struct diagnosis *d = data;

	mnl_attr_parse(nlh, sizeof(*frh), read_attr, &rule);
	if (!rule.marked || !(rule.mask & conf_ours(&d->conf)))
		return MNL_CB_OK;
	found(WARNING, "fwmark", "ip %srule %u looks at mark 0x%x/0x%x, which has bits of net.divert's masks (0x%08x): move the masks, or give the rule a mask (wg-quick and others: divert(7), COEXISTING)",
	      frh->family == AF_INET6 ? "-6 " : "", rule.priority, rule.mark,
	      rule.mask, conf_ours(&d->conf));
	return MNL_CB_OK;
}

static void ask(struct mnl_socket *nl, int family, const struct diagnosis *d)
{
	struct fib_rule_hdr *frh;
	char buf[256] = { 0 };
	struct nlmsghdr *nlh;

	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = RTM_GETRULE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	frh = mnl_nlmsg_put_extra_header(nlh, sizeof(*frh));
	frh->family = family;
	netlink_ask(nl, nlh, read_rule, NULL, (void *)d);
}

void examine_fwmarks(const struct diagnosis *d)
{
	struct mnl_socket *nl;
	struct error err;

	if (netlink_open(NETLINK_ROUTE, &nl, &err)) {
		found(NOTE, "fwmark", "%s", err.text);
		return;
	}
	ask(nl, AF_INET, d);
	ask(nl, AF_INET6, d);
	mnl_socket_close(nl);
}
